import pytest

from sat.study.components import COMPONENTS, check_component, join


def test_components_are_those_of_the_paper_in_its_order():
    assert list(COMPONENTS) == [
        "base_architecture",
        "hierarchical",
        "stem",
        "input_size",
        "normalisation",
        "activation",
        "stem_pooling",
        "final_pooling",
        "self_attention_2d",
        "channel_attention",
        "channel_attention_location",
        "depthwise_convolution",
        "group_convolution",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_architecture", "NAS-CNN"),
        ("hierarchical", "no"),
        ("stem", "16s16"),
        ("stem", "3s2/3/3"),
        ("stem", "3s1/3s2/3s2/12s12"),
        ("stem", "none"),
        ("input_size", "224"),
        ("normalisation", "BatchNorm+LayerNorm"),
        ("normalisation", "none"),
        ("activation", "GELU+LeakyReLU+ReLU+ReLU6+SiLU"),
        ("self_attention_2d", "BoT+Halo+Lambda"),
        ("channel_attention", "SE"),
        ("channel_attention_location", "middle"),
    ],
)
def test_values_of_the_vocabulary_pass(name, value):
    check_component(name, value)


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("base_architecture", "cnn", "CNN, Transformer"),
        ("base_architecture", "none", "CNN, Transformer"),
        ("hierarchical", "Yes", "yes, no"),
        ("stem", "7", "as in 3s2/3/3"),
        ("stem", "3s2/3s1", "without stride where it is 1"),
        ("stem", "3s2/", "as in 3s2/3/3"),
        ("input_size", "224 x 224", "as in 224"),
        ("normalisation", "LayerNorm+BatchNorm", "alphabetical order"),
        ("normalisation", "BatchNorm+BatchNorm", "alphabetical order"),
        ("normalisation", "BN", "BatchNorm"),
        ("activation", "none+ReLU", "none, or one or more of"),
        ("activation", "", "none, or one or more of"),
        ("activation", "Sigmoid", "none, or one or more of"),
        ("final_pooling", "none", "average, class-token"),
        ("channel_attention_location", "~", "none, middle, end"),
    ],
)
def test_other_values_are_refused_with_what_would_be_right(name, value, right):
    with pytest.raises(ValueError, match=name) as error:
        check_component(name, value)
    assert right in str(error.value)
    assert repr(value) in str(error.value)


def test_unknown_component_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'norm' is not a component.*normalisation"):
        check_component("norm", "BatchNorm")


def test_sets_are_written_in_one_way():
    assert join(["SiLU", "ReLU6", "ReLU", "GELU", "ReLU"]) == "GELU+ReLU+ReLU6+SiLU"
    assert join(iter(())) == "none"


@pytest.mark.parametrize("name", [name for name, component in COMPONENTS.items() if component.several])
def test_words_of_sets_stand_in_the_order_in_which_they_are_written(name):
    values = COMPONENTS[name].values
    assert "+".join(values) == join(values)
    check_component(name, join(values))
