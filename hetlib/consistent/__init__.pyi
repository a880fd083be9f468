from . import direct as direct
from . import expected as expected
from . import label_counts as label_counts
from . import losses as losses
