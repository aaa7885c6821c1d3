"""A function of tensors that is captured once as a CUDA graph and then replayed.

Sources: torch's notes on CUDA semantics, section "CUDA Graphs"; documentation of `torch.cuda.graph` and
`torch.cuda.make_graphed_callables`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

NUM_WARM_UPS = 3
"""Calls before the one that is captured, as many as make_graphed_callables makes: libraries set themselves up."""


class Graph(Protocol):
    """Work on a device that can be repeated."""

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        """Do the work where it will be captured."""
        ...

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        """Record the operations of the work without running them; its results have no values yet."""
        ...

    def replay(self) -> None:
        """Run the captured operations, on the memory that they were captured with."""


class CudaGraph:
    """A graph of torch.cuda.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        """Do the work on the stream that captures: a library's handle is made for each stream, by calls refused later.

        Capture must not be on the default stream; each of the two streams has to wait for what the other has written.
        """
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            made = work()
        current.wait_stream(self._stream)
        return made

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        """Capture; what is allocated meanwhile comes from the graph's private pool and stays where it is.

        The mode "thread_local" lets the thread of the probes go on with calls that a capture must not make, such as to
        wait for an event. Updates draw no numbers from torch's generators, so that none has to be registered.
        """
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            made = work()
        return made

    def replay(self) -> None:
        """Replay on the current stream, after everything that was asked of it before."""
        self._graph.replay()


class Replayed:
    """Calls a function of tensors a few times, captures it, and then replays it on new data.

    The function must depend only on its tensors, and neither read their values nor keep references to them.
    """

    def __init__(self, function: Callable[[Tensors], Tensors], make_graph: Callable[[], Graph]) -> None:
        """Nothing is called yet.

        Args:
            function: The function.
            make_graph: Called once, before the first call.
        """
        self._function, self._make_graph = function, make_graph
        self._graph: Graph | None = None
        self._num_calls = 0
        self._inputs: dict[str, Tensor] = {}
        self._outputs: Tensors = {}
        self._sizes: dict[str, tuple[torch.Size, torch.dtype]] = {}
        self.has_varied = False

    def __call__(self, tensors: Tensors) -> Tensors:
        """The function's result, in tensors that no later call changes.

        Where sizes differ from those of an earlier call, the function is called as it is from then on.

        Raises:
            RuntimeError: It cannot be captured.
        """
        sizes = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
        self.has_varied |= bool(self._sizes) and sizes != self._sizes
        self._sizes = sizes
        if self.has_varied:
            return self._function(tensors)
        if self._graph is None:
            self._graph = self._make_graph()
        self._num_calls += 1
        if self._num_calls <= NUM_WARM_UPS:
            return self._graph.warm_up(lambda: self._function(tensors))
        if not self._inputs:
            # Made before the capture: what is made in it may lie on memory that another part of the work uses too.
            inputs = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
            self._outputs = self._graph.capture(lambda: self._function(inputs))
            self._inputs = inputs
        for name, tensor in self._inputs.items():
            tensor.copy_(tensors[name])
        self._graph.replay()
        # The next replay writes over its results.
        return {name: tensor.clone() for name, tensor in self._outputs.items()}
