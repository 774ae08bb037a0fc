"""Several processes that train one model, a device each: what they share out, how they agree.

Every process draws the same whole batch and computes on its share, so N processes take the steps
that one would, up to rounding. Gradients are averaged in one message rather than by
DistributedDataParallel: what is trained is small, and modules keep their names in checkpoints.
Outside of torchrun there is one process, and nothing here communicates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from worker.learning.progress import Stopped

Result = TypeVar("Result")
Number = TypeVar("Number", bound=np.floating)
# The others wait while the first decodes photos; a process that dies is torchrun's business.
LONGEST_WAIT = timedelta(days=1)


@contextmanager
def joined() -> Iterator[torch.device]:
    """Join the processes that torchrun has started; gives the device of this one."""
    has_gpus = torch.cuda.is_available()
    device = torch.device("cpu")
    if has_gpus:
        device = torch.device("cuda", distributed.get_node_local_rank())
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if has_gpus else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; the one of rank 0 writes files."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Self:
        if distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def ensure_enough_for(self, *batches: int) -> None:
        """Raise `ValueError` where a process would be left without a photo of a batch."""
        if min(batches) < self.count:
            raise ValueError(f"{self.count} processes cannot share a batch of {min(batches)}")

    def share(self, length: int) -> NDArray[np.int64]:
        """The positions in a batch that this process computes on."""
        return np.arange(self.rank, length, self.count)

    def any(self, here: bool) -> bool:
        """Whether it is so in any process; all must ask."""
        if self.count == 1:
            return here
        flag = torch.tensor(int(here))
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)

    def together(self, work: Callable[[], Result]) -> Result:
        """`work` in every process; if one is asked to stop in the middle, all raise `Stopped`."""
        try:
            result = work()
        except Stopped:
            self.any(True)
            raise
        if self.any(False):
            raise Stopped
        return result

    def after_first(self, work: Callable[[], Result]) -> Result:
        """`work` in the first process, then in the others, which find the files that it left."""
        if self.is_first:
            return self.together(work)
        self.together(lambda: None)
        return work()

    def whole(self, part: NDArray[Number], length: int) -> NDArray[Number]:
        """All rows (length, ...), of which this process knows `share(length)`."""
        if self.count == 1:
            return part
        rows = np.zeros((length, *part.shape[1:]), part.dtype)
        rows[self.share(length)] = part
        distributed.all_reduce(torch.from_numpy(rows))
        return rows

    def average_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Set each gradient to its mean over processes; returns that of the loss, a scalar."""
        if self.count == 1:
            return loss
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = _flat([*gradients, loss]) / self.count
        distributed.all_reduce(flat)
        _fill([*gradients, loss], flat)
        return loss

    def copy_batch_statistics(self, model: nn.Module) -> None:
        """The running statistics of the first process, to all: each sees its share of a batch."""
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        if self.count == 1 or not norms:
            return
        buffers = [b for norm in norms for b in norm.buffers() if b.is_floating_point()]
        flat = _flat(buffers)
        distributed.broadcast(flat, src=0)
        _fill(buffers, flat)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _fill(tensors: Sequence[Tensor], flat: Tensor) -> None:
    """Take each tensor's values out of what `_flat` made of all of them."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))
