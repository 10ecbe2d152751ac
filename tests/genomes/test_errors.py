from spjax.genomes import GenomeError
from spjax.genomes.errors import show


def test_it_is_a_value_error():
    assert issubclass(GenomeError, ValueError)


def test_values_are_shown_briefly():
    assert show("max") == "'max'"
    assert show(0.25) == "0.25"
    assert len(show("x" * 1000)) == 80


def test_showing_never_fails():
    class Hostile:
        def __repr__(self):
            raise RuntimeError

    assert show(Hostile()) == "<Hostile>"
    assert show(10**5000) == "<int>"
