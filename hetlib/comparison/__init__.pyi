from . import budgets as budgets
from . import cells as cells
from . import methods as methods
from . import worlds as worlds
