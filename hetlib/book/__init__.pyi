from . import claims as claims
from . import plots as plots
from . import profiles as profiles
from . import progress as progress
from . import sentences as sentences
from . import settings as settings
from . import sliders as sliders
from . import text as text
