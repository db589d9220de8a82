"""Models that are remembered."""


def test_models_are_remembered_the_last_one_first(application, tmp_path):
    from napari_pssr.recent import MOST, recent_models, remember

    folders = [tmp_path / f"run {k}" for k in range(MOST + 2)]
    for folder in folders:
        folder.mkdir()
        remember(folder)
    assert recent_models() == folders[::-1][:MOST]
    remember(folders[5])
    assert recent_models()[0] == folders[5]
    assert len(set(recent_models())) == MOST
    folders[5].rmdir()
    assert recent_models()[0] == folders[-1]
