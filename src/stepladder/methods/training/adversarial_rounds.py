"""The rounds of adversarial training: attack, train on what succeeds, stop where validation no longer improves."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Exchange, Message
from stepladder.data import load_ordinary
from stepladder.methods.training.adversarial_questions import validation, wrapped_twins
from stepladder.methods.training.finds import DIRECT, TRAINED, Library, Split, in_turn
from stepladder.methods.training.fitting import ADAPTER, first_layer, fit, own_answers, trainable
from stepladder.methods.training.outcomes import by_patterns, under
from stepladder.methods.training.refusals import refusal

if TYPE_CHECKING:
    from stepladder.methods.training.adversarial_training import Config
    from stepladder.models import LocalModel
    from stepladder.models.local.finetune import Example, Tuned, Tuning

NOTHING_FOUND = "no attack that may be trained on succeeded"


@dataclass(frozen=True)
class Trained:
    """What the rounds left: the adapter's folder (None where nothing was found), their log, and the validation replies."""

    adapter: Path | None
    log: tuple[dict[str, Any], ...]
    stopped: str
    validated: tuple[Exchange, ...]


@dataclass
class Rounds:
    """The subject, what is known of it, and the adapters kept so far."""

    context: Context
    config: Config
    library: Library
    parts: Split
    seconds: float = 0.0

    def run(self) -> Trained:
        """Round after round, each on top of the last one kept."""
        subject = trainable(self.context.subject, "adversarial_training")
        validated = list(self._validate(subject, 0))
        best, stopped = _mean(validated), "all rounds were used"
        kept: list[Path] = []
        log: list[dict[str, Any]] = []
        finds = self._first_finds()
        for number in range(1, self.config.rounds + 1):
            model = subject.derive(subject.name, kept)
            finds = finds if number == 1 else self._search(model, number)
            harmful, benign = self._rows(subject, finds, number)
            if not harmful:
                stopped = NOTHING_FOUND
                break
            tuned = self._fit(model, [*harmful, *benign], self.context.folder / f"round-{number}", f"round {number}")
            replies = self._validate(subject.derive(subject.name, [*kept, tuned.folder]), number)
            now = _mean(replies)
            improved = number == 1 or (now is not None and best is not None and now < best)
            log.append(_entry(number, len(finds), (len(harmful), len(benign)), tuned, improved))
            if not improved:
                stopped = "the validation family no longer improved"
                break
            best, kept, validated = now, [*kept, tuned.folder], [*validated, *replies]
            if not now:
                stopped = "nothing of the validation family succeeded any more" if now == 0 else "nothing to validate on"
                break
        return Trained(self._join(kept), tuple(log), stopped, tuple(validated))

    def direct_only(self, rows: int) -> tuple[Path, Tuned]:
        """The trivial alternative: as many refusals, but of direct requests only, with harmless prompts that stand alone."""
        subject, rng = trainable(self.context.subject, "adversarial_training"), self._random("direct only")
        found = [e for e in self.library.harmful if self.parts.may_train(e) and e.metadata["family"] == DIRECT]
        harmful = [_refused(exchange, rng) for exchange in itertools.islice(itertools.cycle(found), rows)]
        benign = own_answers(self.context, subject, self._plain(rng)[:rows], self.config.answer_tokens)
        folder = self.context.folder / "direct-only"
        return folder, self._fit(subject, [*harmful, *benign], folder, "direct requests only")

    def _rows(self, subject: LocalModel, finds: Sequence[Exchange], number: int) -> tuple[list[Example], list[Example]]:
        """Refusals of what was found, families in turn, and the subject's own answers to harmless prompts.

        From the second round on, earlier finds fill the rows up, so that they are not forgotten.
        """
        rng = self._random(f"round {number}")
        earlier = [e for e in self._first_finds() if e.id not in {find.id.partition("/")[2] for find in finds}]
        chosen = in_turn(finds, self.config.rows, rng) if finds else []
        chosen += in_turn(earlier, self.config.rows - len(chosen), rng) if finds and number > 1 else []
        harmful = [_refused(exchange, rng) for exchange in chosen]
        prompts = self._benign(rng) if harmful else []
        return harmful, own_answers(self.context, subject, prompts, self.config.answer_tokens)

    def _first_finds(self) -> list[Exchange]:
        """What the library says succeeded, where it may be trained on."""
        return [e for e in self._candidates() if self.library.succeeded(e)]

    def _candidates(self) -> list[Exchange]:
        """Attacks of trained families on training behaviours that are short enough."""
        return [e for e in self.library.harmful if self.parts.may_train(e) and e.reply.tokens_in <= self.config.longest]

    def _benign(self, rng: random.Random) -> list[tuple[Message, ...]]:
        """Twins alone, twins inside trained attacks, and ordinary prompts that are never measured, in turn."""
        inside = [request.messages for request in wrapped_twins(self.library, self._candidates(), rng)]
        plain = self._plain(rng)
        mixed = [messages for pair in zip(inside, plain, strict=False) for messages in pair]
        return [*mixed, *plain[len(inside) :]][: self.config.benign]

    def _plain(self, rng: random.Random) -> list[tuple[Message, ...]]:
        """Twins of training behaviours and ordinary prompts that the library did not ask, shuffled."""
        asked = {str(e.metadata["request"]) for e in self.library.ordinary}
        spare = [ordinary.text for ordinary in load_ordinary() if ordinary.text not in asked]
        trained = {name for name, part in self.parts.behaviours.items() if part == TRAINED}
        twins = [str(self.library.twins[name].metadata["request"]) for name in sorted(trained & self.library.twins.keys())]
        texts = [*rng.sample(spare, min(len(spare), max(1, len(twins)))), *twins]
        return [(Message(role="user", content=text),) for text in rng.sample(texts, len(texts))]

    def _search(self, model: LocalModel, number: int) -> list[Exchange]:
        """The red team again: trained families on training behaviours; what succeeds by the pattern judge."""
        candidates = [
            e for e in self.library.harmful if self.parts.may_train(e) and e.reply.tokens_in <= self.config.longest
        ]
        chosen = in_turn(candidates, self.config.search, self._random(f"search {number}"))
        asked = [under(f"search_{number}", exchange.request) for exchange in chosen]
        replies = self.context.ask(model, asked, label=f"round {number}: attacks")
        return [exchange for exchange, value in zip(replies, by_patterns(replies), strict=True) if value]

    def _validate(self, model: LocalModel, number: int) -> tuple[Exchange, ...]:
        asked = validation(self.library, self.parts, self.context.seed)
        return self.context.ask(model, [under(f"round_{number}", r) for r in asked], label=f"round {number}: validation")

    def _fit(self, model: LocalModel, rows: Sequence[Example], folder: Path, label: str) -> Tuned:
        tuned = fit(self.context, model, rows, folder, tuning(self.config, model, self.context.seed), label)
        self.seconds += tuned.seconds
        return tuned

    def _random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.context.seed} {purpose}")

    def _join(self, kept: Sequence[Path]) -> Path | None:
        """The rounds' adapters as one; what each round left is removed."""
        from stepladder.models.local.finetune import appearing
        from stepladder.models.local.lora import join_adapters

        if not kept:
            return None
        with appearing(self.context.folder / ADAPTER) as made:
            join_adapters(kept, made)
        for folder in self.context.folder.glob("round-*"):
            shutil.rmtree(folder)
        return self.context.folder / ADAPTER


def tuning(config: Config, model: LocalModel, seed: int) -> Tuning:
    """How each round is trained."""
    from stepladder.models.local.finetune import Tuning

    return Tuning(
        rank=config.rank, alpha=2.0 * config.rank, first_layer=first_layer(model, config.frozen),
        learning_rate=config.learning_rate, batch=config.batch, max_tokens=2 * config.longest, seed=seed,
    )  # fmt: skip


def _refused(exchange: Exchange, rng: random.Random) -> Example:
    from stepladder.models.local.finetune import Example

    return Example(exchange.request.messages, refusal(str(exchange.metadata.get("category", "")), rng))


def _mean(replies: Sequence[Exchange]) -> float | None:
    known = [value for value in by_patterns(replies) if value is not None]
    return sum(known) / len(known) if known else None


def _entry(number: int, finds: int, rows: tuple[int, int], tuned: Tuned, kept: bool) -> dict[str, Any]:
    return {
        "round": number, "finds": finds, "refusals": rows[0], "benign": rows[1], "tokens": tuned.tokens, "kept": kept,
        "first_loss": tuned.losses[0], "last_loss": tuned.losses[-1],
    }  # fmt: skip
