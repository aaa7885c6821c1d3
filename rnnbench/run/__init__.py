"""One batched run, from built objects to finished folders: device, memory, job folders, checkpoints, workers."""
