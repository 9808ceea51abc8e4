import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import Access, BudgetExceeded, Message, Reply, Request, StepladderError
from stepladder.execution import FREE, Budget, Price, Spending, price_of

REQUEST = Request(id="r", messages=(Message(role="user", content="x" * 30),))


class Model:
    def __init__(self, name="openai/gpt", access=Access.chat, **more):
        self.name, self.access, self.fingerprint, self.batch = name, access, name, 1
        self.__dict__.update(more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Budget()),
        ("", Budget()),
        ("200k tokens", Budget(tokens=200_000)),
        ("200,000 tokens", Budget(tokens=200_000)),
        ("1.5M tokens, 90s", Budget(tokens=1_500_000, seconds=90)),
        ("10m", Budget(seconds=600)),
        ("1h30m", Budget(seconds=5400)),
        ("2 hours, 5 tokens", Budget(seconds=7200, tokens=5)),
        ("200k tokens, 10 min, $2", Budget(tokens=200_000, seconds=600, money=2)),
        ("$1,000.50", Budget(money=1000.5)),
        ("2 USD at 0.15/0.60", Budget(money=2, price=Price(0.15, 0.60))),
        ("$2 at $3/$15, 1m", Budget(money=2, price=Price(3, 15), seconds=60)),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, expected):
    assert Budget.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["10", "ten tokens", "5 apples", "0 tokens", "$0", "10m, 5m", "-3 tokens", "500ms", "1.2.3s", "$2 at 3"]
)
def test_what_is_no_budget_is_refused_with_what_is_allowed(text):
    with pytest.raises(StepladderError, match="allowed") as error:
        Budget.parse(text)
    assert "\n" not in str(error.value)


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_any_whole_limits_are_read_back(tokens, seconds):
    assert Budget.parse(f"{seconds}s, {tokens} tokens") == Budget(tokens=tokens, seconds=seconds)


def test_money_without_a_known_price_is_an_error_that_says_how_to_give_it():
    with pytest.raises(StepladderError, match=r"price of openai/gpt.*at 0\.15/0\.60"):
        Spending(Budget(money=2)).price(Model())


def test_a_price_given_with_the_budget_is_used():
    spending = Spending(Budget.parse("$2 at 1/10"))
    price = spending.price(Model())
    cost = spending.add(REQUEST, Reply(text="y", tokens_in=1_000_000, tokens_out=50_000), price)
    assert math.isclose(cost, 1 + 0.5)
    assert spending.exceeded() is None
    spending.add(REQUEST, Reply(text="y", tokens_in=500_000), price)
    assert "$2 is spent" in str(spending.exceeded())


def test_without_a_limit_on_money_no_price_is_needed():
    assert Spending(Budget(tokens=5)).price(Model()) is None


def test_a_model_on_this_machine_is_free_also_inside_a_wrapper():
    local = Model("hf/x", Access.weights)
    assert price_of(local) == price_of(Model("scripted/demo")) == price_of(Model("guarded", inner=local)) == FREE
    assert price_of(Model("priced", price=Price(1, 2))) == Price(1, 2)


def test_tokens_and_seconds_run_out_exactly_at_their_limit():
    time = [0.0]
    spending = Spending(Budget(tokens=10, seconds=5), clock=lambda: time[0])
    spending.add(REQUEST, Reply(text="y", tokens_in=4, tokens_out=5), None)
    time[0] = 4.9
    assert spending.exceeded() is None
    time[0] = 5.0
    assert isinstance(spending.exceeded(), BudgetExceeded)
    spending.add(REQUEST, Reply(text="y", tokens_out=1), None)
    assert "10 tokens is spent (10)" in str(spending.exceeded())


def test_a_model_that_reports_no_tokens_does_not_spend_nothing():
    spending = Spending(Budget(tokens=30))
    spending.add(REQUEST, Reply(text="y" * 60), None)
    assert spending.estimated
    assert "estimated" in str(spending.exceeded())
