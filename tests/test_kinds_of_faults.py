"""Faults that were met in use, by kind: which tests hold the right outcome, with five variants.

Each kind is named for the first input that showed it. What is listed under it has to exist and,
together, to try at least five inputs; the tests themselves say what is right.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

TESTS = Path(__file__).parent
#: Tests of each kind, as folder/file::function.
KINDS: dict[str, list[str]] = {
    "architectures": [
        "llm/test_models::test_other_designs",
        "llm/test_models::test_designs_that_score_otherwise",
        "llm/test_models::test_short_windows_and_no_targets_are_named",
        "llm/test_models::test_tokens_that_the_model_does_not_know_are_named",
    ],
    "csv-none-type": [
        "surveys/test_faults::test_words_are_words",
        "surveys/test_faults::test_only_an_empty_field_is_missing",
    ],
    "damaged-run-files": [
        "llm/test_models::test_half_of_a_models_weights_is_named",
        "llm/test_models::test_a_spoilt_file_of_a_model_is_named",
        "llm/test_models::test_damaged_files_of_a_run_are_named",
        "llm/test_resume::test_a_checkpoint_of_the_right_size_but_damaged_is_left_out",
        "llm/test_resume::test_a_spoilt_seal_is_none",
        "llm/test_resume::test_half_of_the_weights_is_named",
        "llm/test_resume::test_spoilt_metrics_are_no_finished_run",
        "llm/test_resume::test_damaged_scores_are_named",
        "llm/test_tokens::test_a_damaged_cache_is_made_again",
    ],
    "degenerate-calls": [
        "test_public_names::test_degenerate_calls_are_right_or_refused",
        "borda/test_degenerate_borda", "consistent/test_degenerate_consistent",
        "core/test_degenerate_core", "linked/test_degenerate_linked",
        "mixture/test_degenerate_mixture", "ring/test_degenerate_ring",
        "surveys/test_degenerate_surveys::test_nonsense_is_named",
    ],
    "dollar-options": [
        "book/test_text::test_figures_draw_every_name_as_written",
        "book/test_text::test_mathtext_is_no_formula",
        "book/test_text::test_ranks_show_names_and_titles_as_written",
        "book/test_text::test_long_names_stay_on_their_figure",
        "book/test_sliders::test_hostile_names_stay_text",
    ],
    "duplicate-type-labels": [
        "surveys/test_faults::test_two_types_of_one_label_are_refused",
        "surveys/test_faults::test_two_options_of_one_label_stay_apart",
        "surveys/test_faults::test_a_blank_label_is_none",
    ],
    "labels-careless": [
        "people/test_people_models::test_the_likelihood_tells_what_was_planted",
        "people/test_people_audit::test_careless_people_count_as_zero",
    ],
    "labels-messy": [
        "people/test_people_tables::test_a_messy_table_is_counted_row_by_row",
        "people/test_people_tables::test_bad_rows_are_refused_with_their_number",
        "core/test_tables::test_a_choice_in_a_word",
        "core/test_tables::test_other_choices_are_refused_with_the_row",
        "core/test_tables::test_names_that_look_alike_are_told",
        "core/test_tables::test_spoilt_files_are_named",
    ],
    "labels-opposed": [
        "people/test_people_models::test_the_likelihood_tells_what_was_planted",
        "people/test_people_audit::test_opposite_tastes_have_a_flat_average",
    ],
    "labels-position": [
        "people/test_people_models::test_the_likelihood_tells_what_was_planted",
        "people/test_people_audit::test_position_is_said_to_be_no_taste",
    ],
    "labels-scale": [
        "people/test_people_models::test_the_likelihood_tells_what_was_planted",
        "people/test_people_audit::test_strengths_keep_the_order_and_shrink_the_margins",
    ],
    "missing-answers-not-counted": [
        "surveys/test_faults::test_declared_missing_answers_are_counted",
        "surveys/test_faults::test_refused_answers_are_counted_by_question",
        "surveys/test_faults::test_negative_codes_of_a_csv_get_a_note",
    ],
    "option-of-zero-weight": [
        "surveys/test_faults::test_people_of_weight_zero_and_their_options_are_named",
        "surveys/test_faults::test_options_that_only_people_of_weight_zero_chose",
    ],
    "other-formats": [
        "llm/test_pairs::test_files_that_are_read_all_the_same",
        "llm/test_pairs::test_files_that_are_not_read_name_the_line",
    ],
    "plan-types": [
        "llm/test_settings::test_plan_names_a_field_of_another_type",
        "llm/test_settings::test_a_plan_is_names_and_values",
    ],
    "python-3.11.2": [
        "test_environment::test_pins_accept_every_python_promised",
        "test_environment::test_each_dependency_is_pinned_within_its_range",
    ],
    "qualtrics-and-duplicated-columns": ["surveys/test_faults::test_tables_that_are_none"],
    "quoting": [
        "book/test_execute::test_parameters_and_outputs_survive_make",
        "book/test_execute::test_names_survive_make",
        "book/test_execute::test_a_file_of_parameters_is_found_whatever_its_name",
    ],
    "split-name-by-substring": ["llm/test_pairs::test_a_split_by_names_of_all_sorts"],
    "surrogates": [
        "llm/test_pairs::test_half_a_character_is_malformed",
        "llm/test_pairs::test_files_that_are_not_read_name_the_line",
    ],
    "train-is-held-out": [
        "llm/test_settings::test_what_is_trained_on_is_not_measured_on",
        "llm/test_pairs::test_a_pair_is_the_same_however_it_is_written",
    ],
    "truncated-or-misencoded-sav": [
        "surveys/test_faults::test_truncated_files_say_so",
        "surveys/test_faults::test_encodings_of_spss",
        "surveys/test_faults::test_other_files_called_sav_are_refused",
    ],
    "unknown-parameter": ["book/test_execute::test_parameters_are_checked_before_anything_runs"],
    "votes-not-checked": [
        "core/test_containers::test_wins_as_others_code_them_are_refused",
        "core/test_containers::test_a_vote_is_one_of_four_codes",
        "core/test_containers::test_what_is_no_label_is_refused_by_name",
    ],
    "wrong-python": [
        "test_environment::test_an_old_python_is_named",
        "test_environment::test_setup_works_in_any_folder_and_locale",
        "test_environment::test_environment_is_ready_by_digest_not_by_date",
    ],
}  # fmt: skip


@cache
def module(name: str) -> ModuleType:
    """A file of tests, by its folder and name."""
    path = TESTS / f"{name}.py"
    assert path.is_file(), path
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(f"kinds_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look there
    spec.loader.exec_module(found)
    return found


def inputs(test: str) -> int:
    """How many inputs a test tries, or a file of tests; drawn ones count as five."""
    name, _, function = test.partition("::")
    found = vars(module(name))
    if not function:
        return sum(inputs(f"{name}::{each}") for each in found if each.startswith("test_"))
    made = found[function]
    assert isinstance(made, FunctionType), test
    marks = [m for m in getattr(made, "pytestmark", []) if m.name == "parametrize"]
    drawn = 5 if hasattr(made, "hypothesis") else 1
    return drawn * math.prod(len(mark.args[1]) for mark in marks)


@pytest.mark.slow  # imports the tests of every room
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_five_variants(kind: str) -> None:
    assert sum(map(inputs, KINDS[kind])) >= 5


def list_them() -> str:
    """The table: kind, inputs, tests."""
    rows = [f"{k:34s} {sum(map(inputs, v)):4d}  {', '.join(v)}" for k, v in KINDS.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    print(list_them())
