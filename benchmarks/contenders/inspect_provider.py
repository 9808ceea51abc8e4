"""An Inspect provider, asked directly.

Arguments: provider (hf or stepladder), model, prompts file, new tokens, concurrency, turns.

With turns > 1 each prompt begins a conversation of that many turns, one after the other.
"""

import asyncio
import json
import sys
import time

from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model

provider, name, prompts_file = sys.argv[1:4]
new_tokens, concurrency, turns = (int(a) for a in sys.argv[4:7])
with open(prompts_file, encoding="utf-8") as file:
    prompts = json.load(file)
if provider == "hf":
    model = get_model(f"hf/{name.rsplit('/', 1)[-1]}", model_path=name, tokenizer_path=name, device="cpu")
else:
    model = get_model(f"stepladder/{name}")
# Both sample: the hf provider refuses a temperature of 0.
config = GenerateConfig(max_tokens=new_tokens, temperature=1.0, seed=0, max_connections=concurrency)


async def converse(prompt: str, gate: asyncio.Semaphore) -> int:
    tokens, messages = 0, []
    async with gate:
        for turn in range(turns):
            messages.append(ChatMessageUser(content=prompt if turn == 0 else "Go on."))
            output = await model.generate(messages, config=config)
            messages.append(output.message)
            tokens += output.usage.output_tokens if output.usage else 0
    return tokens


async def main() -> None:
    await converse(prompts[0], asyncio.Semaphore(1))
    gate = asyncio.Semaphore(concurrency)
    start = time.perf_counter()
    tokens = sum(await asyncio.gather(*(converse(prompt, gate) for prompt in prompts)))
    print(json.dumps({"samples": len(prompts), "seconds": time.perf_counter() - start, "tokens": tokens}))


asyncio.run(main())
