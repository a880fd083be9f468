from . import budgets as budgets
from . import cells as cells
from . import methods as methods
from . import own as own
from . import quasi_newton as quasi_newton
from . import registry as registry
from . import tuning as tuning
from . import worlds as worlds
