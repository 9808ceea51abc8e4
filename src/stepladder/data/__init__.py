"""Data as files: behaviours, ordinary requests, templates, constitutions, release policies; shipped sets and readers."""

from stepladder.data.battery_sets import ChoiceItem, ChoiceSet, Framing, load_battery, load_choice_set
from stepladder.data.behaviour_formats import Behaviour, BehaviourSet, read_behaviours
from stepladder.data.choice_formats import read_choices
from stepladder.data.constitution import Category, Constitution, load_constitution
from stepladder.data.encodings import ENCODINGS, decode, encode
from stepladder.data.knowledge import KnownAnswer, load_facts, load_invented_authors, read_known_answers
from stepladder.data.labelled import LabelledSet, read_labelled
from stepladder.data.policy import Gate, ReleasePolicy, load_policy
from stepladder.data.prompts import MARKER, Ordinary, Template, load_behaviours, load_ordinary, load_templates
from stepladder.data.questions import Question, QuestionSet, read_questions
from stepladder.data.synthesis import NearDuplicates, SyntheticPrompt, similarity, synthesize_prompts

__all__ = [
    "ENCODINGS",
    "MARKER",
    "Behaviour",
    "BehaviourSet",
    "Category",
    "ChoiceItem",
    "ChoiceSet",
    "Constitution",
    "Framing",
    "Gate",
    "KnownAnswer",
    "LabelledSet",
    "NearDuplicates",
    "Ordinary",
    "Question",
    "QuestionSet",
    "ReleasePolicy",
    "SyntheticPrompt",
    "Template",
    "decode",
    "encode",
    "load_battery",
    "load_behaviours",
    "load_choice_set",
    "load_constitution",
    "load_facts",
    "load_invented_authors",
    "load_ordinary",
    "load_policy",
    "load_templates",
    "read_behaviours",
    "read_choices",
    "read_known_answers",
    "read_labelled",
    "read_questions",
    "similarity",
    "synthesize_prompts",
]
