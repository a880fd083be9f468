from . import labels as labels
from . import link as link
from . import newton as newton
from . import policies as policies
from . import population as population
