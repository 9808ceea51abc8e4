"""garak's `huggingface.Model`, which asks one prompt at a time. Arguments: model folder, prompts file, new tokens."""

import contextlib
import io
import json
import sys
import time

with contextlib.redirect_stdout(io.StringIO()):
    from garak import _config
    from garak.attempt import Conversation, Message, Turn
    from garak.generators.huggingface import Model

    folder, prompts_file, new_tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    _config.load_base_config()
    Model.DEFAULT_PARAMS = Model.DEFAULT_PARAMS | {"max_tokens": new_tokens}
    generator = Model(name=folder)

with open(prompts_file, encoding="utf-8") as file:
    prompts = json.load(file)


def ask(text: str) -> int:
    outputs = generator.generate(Conversation([Turn("user", Message(text=text))]), 1)
    return len(generator.tokenizer(outputs[0].text or "")["input_ids"]) if outputs and outputs[0] else 0


with contextlib.redirect_stdout(io.StringIO()):
    ask(prompts[0])
    start = time.perf_counter()
    tokens = sum(ask(prompt) for prompt in prompts)
    seconds = time.perf_counter() - start
print(json.dumps({"samples": len(prompts), "seconds": seconds, "tokens": tokens}))
