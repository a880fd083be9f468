from . import claims as claims
from . import plots as plots
from . import profiles as profiles
from . import progress as progress
from . import sliders as sliders
from . import text as text
