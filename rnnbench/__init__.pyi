"""Types of the public names; `PUBLIC` in `__init__.py` is the table by which they are imported."""

from rnnbench import tasks as tasks
from rnnbench.api.loading import load as load
from rnnbench.api.reports import Report as Report
from rnnbench.api.reports import report as report
from rnnbench.api.run import Run as Run
from rnnbench.api.sweep import Sweep as Sweep
from rnnbench.api.training import resume as resume
from rnnbench.api.training import sweep as sweep
from rnnbench.api.training import train as train
from rnnbench.api.training import tune as tune
from rnnbench.api.tuning import Tuning as Tuning
from rnnbench.config.errors import ConfigError as ConfigError
from rnnbench.modules.diagnose import diagnose as diagnose
from rnnbench.modules.diagnosis import Diagnosis as Diagnosis
from rnnbench.modules.hessian_free import HessianFree as HessianFree
from rnnbench.records.errors import RecordError as RecordError

__version__: str
PUBLIC: dict[str, str]
