"""Sets of samples joined to one."""

import numpy as np

from img2img.data.sample import Dataset, Joined, Record, Sample


class Flat(Dataset):
    planes = 4

    def __init__(self, n: int, value: int) -> None:
        super().__init__([
            Record(id=f"{index}", digest=f"{value}-{index}", height=2, width=3, index=index)
            for index in range(n)
        ])  # fmt: skip
        self.value = value

    def pixels(self, record: Record) -> np.ndarray:
        return np.full((2, 3, 4), self.value + record.index, np.uint8)

    def sample(self, record: Record, pixels: np.ndarray) -> Sample:
        label = {"classes": pixels[..., 3]}
        return Sample(id=record.id, group=record.id, image=pixels[..., :3], labels=label)


def test_joined_samples_come_from_their_own_sets() -> None:
    joined = Joined({"": Flat(2, 10), "more": Flat(3, 100)})
    assert [record.id for record in joined.records] == ["0", "1", "more/0", "more/1", "more/2"]
    assert joined.planes == 4
    assert [int(sample.image[0, 0, 0]) for sample in joined] == [10, 11, 100, 101, 102]
    assert [sample.id for sample in joined] == [record.id for record in joined.records]
    assert int(joined[4].labels["classes"][0, 0]) == 102


def test_a_subset_of_joined_samples_still_finds_them() -> None:
    subset = Joined({"": Flat(2, 10), "more": Flat(3, 100)}).subset([3, 0])
    assert [int(sample.image[0, 0, 0]) for sample in subset] == [101, 10]
