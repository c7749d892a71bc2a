"""Settings: one place that reads the environment."""

import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.settings import MIB, Settings


def test_every_setting_has_a_variable_of_its_name() -> None:
    settings = Settings.from_environ(
        {"ONNXLET_STORE": "s3://models/prod", "ONNXLET_ALIAS_TTL": "2.5", "ONNXLET_THREADS": "3"}
    )
    assert (settings.store, settings.alias_ttl, settings.threads) == ("s3://models/prod", 2.5, 3)


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert Settings.from_environ({"ONNXLET_ALIAS_TTL": ""}) == Settings()


def test_a_value_that_is_no_number_is_named_with_its_variable() -> None:
    with pytest.raises(InvalidInputError, match="ONNXLET_THREADS must be a number, not 'two'"):
        Settings.from_environ({"ONNXLET_THREADS": "two"})


def test_a_switch_is_true_or_false_and_nothing_else() -> None:
    for text, value in (("true", True), ("1", True), ("False", False), ("0", False), ("", False)):
        assert Settings.from_environ({"ONNXLET_REST_BINARY": text}).rest_binary is value
    with pytest.raises(InvalidInputError, match="ONNXLET_REST_BINARY must be true or false, not 'yes'"):
        Settings.from_environ({"ONNXLET_REST_BINARY": "yes"})


@pytest.mark.parametrize(("memory", "threads"), [("128", 1), ("1769", 1), ("3538", 2), ("10240", 5)])
def test_threads_follow_the_whole_virtual_processors_of_the_functions_memory(memory: str, threads: int) -> None:
    assert Settings.from_environ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}).intra_op_threads == threads


def test_loaded_models_get_most_of_the_functions_memory_and_not_all_of_it() -> None:
    assert Settings.from_environ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1000"}).session_bytes == 600 * MIB
    assert Settings().session_bytes == 4096 * MIB
