from . import labels as labels
from . import link as link
from . import modular as modular
from . import newton as newton
from . import policies as policies
from . import population as population
from . import tables as tables
