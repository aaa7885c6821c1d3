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
"""Calls before the capture, in which libraries initialize themselves; make_graphed_callables makes as many."""


class Graph(Protocol):
    """Captured work on a device that can be replayed."""

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        """Do the work once on the stream that will capture it."""
        ...

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        """Record the operations of the work without running them; its results have no values yet."""
        ...

    def replay(self) -> None:
        """Run the captured operations on the tensors that they were captured with."""


class CudaGraph:
    """A `torch.cuda.CUDAGraph`.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        """Do the work on the capturing stream: libraries create a handle per stream, which a capture does not permit.

        The capturing stream must not be the default stream. Each of the two streams waits for the other's results.
        """
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            results = work()
        current.wait_stream(self._stream)
        return results

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        """Capture the work; memory allocated during the capture comes from the graph's private pool and stays in place.

        The mode "thread_local" lets the probes' thread make calls that are forbidden in a capture, such as waiting for
        an event. Updates draw no numbers from torch's generators, so no generator has to be registered.
        """
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            results = work()
        return results

    def replay(self) -> None:
        """Replay on the current stream, after all work that was queued before."""
        self._graph.replay()


class Replayed:
    """Calls a function of tensors a few times, captures it, and then replays it on new data.

    The function must depend on its tensors only. It must not read their values on the host or keep references to them.
    """

    def __init__(self, function: Callable[[Tensors], Tensors], make_graph: Callable[[], Graph]) -> None:
        """Store the function without calling it.

        Args:
            function: The function.
            make_graph: Makes an empty graph; it is called once, before the first call of the function.
        """
        self._function, self._make_graph = function, make_graph
        self._graph: Graph | None = None
        self._num_calls = 0
        self._inputs: dict[str, Tensor] = {}
        self._outputs: Tensors = {}
        self._sizes: dict[str, tuple[torch.Size, torch.dtype]] = {}
        self.has_varied = False

    def __call__(self, tensors: Tensors) -> Tensors:
        """Return the function's results, in tensors that no later call changes.

        If shapes or dtypes differ from those of an earlier call, the function is called without a graph from then on.

        Raises:
            RuntimeError: The function cannot be captured.
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
            # Allocated before the capture: memory allocated within it may be shared with other parts of the work.
            inputs = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
            self._outputs = self._graph.capture(lambda: self._function(inputs))
            self._inputs = inputs
        for name, tensor in self._inputs.items():
            tensor.copy_(tensors[name])
        self._graph.replay()
        # The next replay overwrites the outputs.
        return {name: tensor.clone() for name, tensor in self._outputs.items()}
