from . import counts as counts
from . import optima as optima
from . import sensitivity as sensitivity
