"""Controls that several widgets have."""

import numpy as np


def test_a_choice_of_layers_follows_the_viewer(viewer):
    from napari_pssr.controls import LayerChoice
    from napari_pssr.layers import alike

    choice, heard = LayerChoice(viewer), []
    choice.chosen.connect(heard.append)
    first = viewer.add_image(np.zeros((4, 4)), name="first")
    assert choice.layer is first
    second = viewer.add_image(np.zeros((4, 4)), name="second")
    assert choice.layer is first
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.add_image(np.zeros((4, 4, 3)), rgb=True)
    # What shows another layer's plane on screen is nothing to choose.
    viewer.add_layer(alike(first, np.zeros((4, 4)), "first preview"))
    assert choice.count() == 2
    second.name = "renamed"
    assert choice.itemText(1) == "renamed"
    choice.layer = second
    viewer.layers.remove(second)
    assert choice.layer is first
    viewer.layers.clear()
    assert choice.layer is None
    assert heard == [first, second, first, None]


def test_a_choice_of_which_one_may_be_none(viewer):
    from napari_pssr.controls import LayerChoice

    choice = LayerChoice(viewer, none="none")
    layer = viewer.add_image(np.zeros((4, 4)))
    assert choice.layer is None
    choice.layer = layer
    assert choice.layer is layer
    choice.layer = None
    assert choice.layer is None


def test_a_choice_that_is_gone_no_longer_listens(viewer, wait):
    from qtpy.compat import isalive

    from napari_pssr.controls import LayerChoice

    choice = LayerChoice(viewer)
    choice.deleteLater()
    wait(lambda: not isalive(choice))
    layer = viewer.add_image(np.zeros((4, 4)))
    layer.name = "nobody hears"
    viewer.layers.remove(layer)
