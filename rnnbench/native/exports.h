// What rnnbench/native/calls.py calls, for the `Tile`, `Scratch` and `NUM_SAVED` of the including file.

extern "C" {

// Runs tiles of a block until none is left; several threads may call it at once, each with memory of its own.
void run_float(Block *block, int64_t sweep, void *memory) {
    run_tiles<Tile<float>, Scratch<float>>(*block, Sweep(sweep), memory);
}
void run_double(Block *block, int64_t sweep, void *memory) {
    run_tiles<Tile<double>, Scratch<double>>(*block, Sweep(sweep), memory);
}

// Bytes of the memory that a thread needs for a block.
int64_t scratch_bytes_float(const Block *block) { return Scratch<float>(*block, nullptr).arena.used; }
int64_t scratch_bytes_double(const Block *block) { return Scratch<double>(*block, nullptr).arena.used; }

// Numbers of the partial sums of a tile.
int64_t partial_size_float(const Block *block) { return Tile<float>::partial_size(*block); }
int64_t partial_size_double(const Block *block) { return Tile<double>::partial_size(*block); }

// Vectors of n numbers that are saved of a step of a sequence beside h; the first is the state's second part.
int64_t num_saved() { return NUM_SAVED; }

int64_t block_bytes() { return sizeof(Block); }

}  // extern "C"
