"""The white-box engine: any Hugging Face decoder, fast for the Llama architecture. Import its modules, not this package."""

import os

# A forward pass is hundreds of short parallel regions, and at the end of each OpenMP's threads wait for each other by
# spinning, up to milliseconds. Where another program shares the processor the one that spins keeps the other from
# running: a step took twenty times as long. This many turns (some 20 microseconds) bridge the gaps on a quiet machine;
# then a thread sleeps. OpenMP reads it when torch is imported, which is later.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
