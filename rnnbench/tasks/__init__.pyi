"""Types of the classes, which `__init__.py` imports by their names."""

from rnnbench.tasks.adding import Adding as Adding
from rnnbench.tasks.base import Task as Task
from rnnbench.tasks.copy_memory import CopyMemory as CopyMemory
from rnnbench.tasks.delayed_copy import DelayedCopy as DelayedCopy
from rnnbench.tasks.delayed_xor import DelayedXor as DelayedXor
from rnnbench.tasks.digits import Digits as Digits
from rnnbench.tasks.latch import Latch as Latch
from rnnbench.tasks.memorization import Memorization as Memorization
from rnnbench.tasks.multiplication import Multiplication as Multiplication
from rnnbench.tasks.one_bit import OneBit as OneBit
from rnnbench.tasks.parity import Parity as Parity
from rnnbench.tasks.random_permutation import RandomPermutation as RandomPermutation
from rnnbench.tasks.temporal_order import TemporalOrder as TemporalOrder
from rnnbench.tasks.two_sequence import TwoSequence as TwoSequence
from rnnbench.tasks.xor import Xor as Xor
