import numpy as np
import pytest

from sklearn_gkd.eo import despeckle, from_decibel, to_decibel

nan = np.nan


def test_decibels_and_back():
    power = np.array([[1.0, 0.01], [nan, 0.0]], dtype=np.float32)
    decibel = to_decibel(power)
    assert decibel.dtype == np.float32
    np.testing.assert_allclose(decibel, [[0, -20], [nan, nan]], atol=1e-5)
    np.testing.assert_allclose(from_decibel(decibel), [[1, 0.01], [nan, nan]], rtol=1e-5)


@pytest.mark.parametrize("value", [-9999, -1234, 101, 3000])
def test_what_cannot_be_decibels_is_refused(value):
    with pytest.raises(ValueError, match=rf"decibel has {value}, and backscatter lies within"):
        from_decibel([-12.0, nan, value])
    np.testing.assert_allclose(from_decibel([-np.inf, -30, 30]), [0, 0.001, 1000])


def test_despeckle_is_quegan_and_yu_pixel_by_pixel():
    rng = np.random.default_rng(0)
    stack = rng.gamma(3, 1 / 3, size=(5, 9, 8))
    stack[2, 3, 4] = stack[0, :4, :4] = nan
    stack[1, 6, 6] = 0
    filtered = despeckle(stack, window=3)
    padded = np.pad(stack, [(0, 0), (1, 1), (1, 1)], mode="edge")
    for row in range(9):
        for column in range(8):
            local = np.array(
                [
                    np.nanmean(image[row : row + 3, column : column + 3]) if seen else nan
                    for image, seen in zip(padded, ~np.isnan(stack[:, row, column]), strict=True)
                ]
            )
            expected = local * np.nanmean(stack[:, row, column] / local)
            np.testing.assert_allclose(filtered[:, row, column], expected, rtol=1e-9)


def test_despeckle_keeps_the_mean_and_drops_the_noise():
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(60) < 30, 0.05, 0.2) * np.ones((60, 1))
    stack = truth * rng.gamma(4, 1 / 4, size=(20, 60, 60))
    filtered = despeckle(stack.astype(np.float32))
    assert filtered.dtype == np.float32
    inside = filtered[:, :, [*range(5, 25), *range(35, 55)]]
    expected = truth[:, [*range(5, 25), *range(35, 55)]]
    np.testing.assert_allclose(inside.mean(axis=(0, 1)), expected[0], rtol=0.1)
    looks = (expected.mean(axis=0)[0] / inside[:, :, :20].std()) ** 2
    assert looks > 12 * 4 / 2  # M * N looks at most, of 20 images and windows of 49 pixels


def test_despeckle_wants_power():
    with pytest.raises(ValueError, match="from_decibel"):
        despeckle(np.full((2, 3, 3), -12.0))
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        despeckle(np.ones((3, 3)))


def test_masked_values_are_missing():
    power = np.array([[[1.0, 0.1], [-999, 10]]])
    masked = np.ma.masked_array(power, power < 0)
    missing = np.where(power < 0, np.nan, power)
    np.testing.assert_array_equal(to_decibel(masked), [[[0, -10], [np.nan, 10]]])
    np.testing.assert_array_equal(from_decibel(masked), from_decibel(missing))
    np.testing.assert_array_equal(despeckle(masked), despeckle(missing))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_despeckle_does_not_depend_on_the_side_of_zeros(dtype):
    stack = np.random.default_rng(0).gamma(4, 0.25, (2, 40, 40)).astype(dtype)
    stack[0] *= 1000
    stack[0, :, 20:] = 0  # beyond the swath, as Sentinel-1's GRD has it
    filtered = despeckle(stack)
    assert (filtered >= 0).all()
    mirrored = despeckle(stack[:, :, ::-1])[:, :, ::-1]
    np.testing.assert_allclose(filtered, mirrored, rtol=1e-4)
