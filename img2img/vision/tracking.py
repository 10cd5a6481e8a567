"""Poses of successive frames, smoothed: what is known of a flight so far corrects each frame.

A tracker takes a frame's pose (4, 4), or None where there is none, and the covariance (6, 6) of a
step away from it (see `rigid`), and gives the pose of this frame; it looks at no later one. Speeds
are per frame.

Sources: Casiez, Roussel, Vogel: 1€ filter, CHI 2012; Kalman 1960, with an error state on the
manifold as in Solà: Quaternion kinematics for the error-state Kalman filter, 2017, section 5, and
white noise as acceleration (Bar-Shalom, Li, Kirubarajan 2001, section 6.2.2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from img2img.vision.rigid import Floats, rotation, rotation_vector, step_between, stepped


class Tracker(Protocol):
    """Smooths one flight, frame by frame."""

    def update(self, pose: Floats | None, covariance: Floats | None = None) -> Floats | None:
        """The pose (4, 4) of the next frame, given the one measured in it; None where nothing can
        be told. Without a covariance (6, 6), that of a usual frame is taken."""


def smooth(
    poses: Sequence[Floats | None], covariances: Sequence[Floats | None], name: str = "filter"
) -> list[Floats | None]:
    """The poses of successive frames after the tracker of this name, as many as there were."""
    tracker = TRACKERS[name]()
    return [tracker.update(*frame) for frame in zip(poses, covariances, strict=True)]


def jitter_deg(poses: Sequence[Floats | None], truth: Sequence[Floats] | None = None) -> float:
    """Mean second difference of rotation in degrees over successive frames, less that of the truth
    if it is given: how far, on average, the turn from a frame to the next is another than the turn
    before. Where a pose is None nothing is counted; NaN if nothing is left."""
    found = [
        np.linalg.norm(rotation_vector(_turn(a, b).T @ _turn(b, c)))
        for a, b, c in zip(poses, poses[1:], poses[2:], strict=False)
        if a is not None and b is not None and c is not None
    ]
    own = float(np.degrees(np.mean(found))) if found else float("nan")
    return own if truth is None else own - jitter_deg(truth)


@dataclass(slots=True)
class NoTracker:
    """Every frame by itself."""

    def update(self, pose: Floats | None, covariance: Floats | None = None) -> Floats | None:
        """The pose as it is."""
        return pose


@dataclass(slots=True, kw_only=True)
class OneEuro:
    """The 1€ filter: a low pass whose cutoff rises with speed, on rotation and translation each.

    It knows no covariances, and a frame without a pose stays without. Cutoffs are in cycles a
    frame; `rotation_gain` and `shift_gain` are what a radian or a unit of the world per frame adds.
    """

    least_cutoff: float = 0.08
    rotation_gain: float = 6.0
    shift_gain: float = 60.0
    speed_cutoff: float = 0.1
    _last: Floats | None = field(default=None, init=False)
    _raw: Floats | None = field(default=None, init=False)
    _speed: Floats = field(default_factory=lambda: np.zeros(6), init=False)
    _elapsed: int = field(default=0, init=False)

    def update(self, pose: Floats | None, covariance: Floats | None = None) -> Floats | None:
        """The pose drawn towards where the filter was."""
        self._elapsed += 1
        if pose is None:
            return None
        if self._last is None or self._raw is None:
            self._last = pose
        else:
            speed = step_between(self._raw, pose) / self._elapsed
            self._speed = self._speed + self._share(self.speed_cutoff) * (speed - self._speed)
            step = step_between(self._last, pose)
            fast = np.linalg.norm(self._speed.reshape(2, 3), axis=1)
            gains = np.array([self.rotation_gain, self.shift_gain])
            shares = [self._share(cutoff) for cutoff in self.least_cutoff + gains * fast]
            self._last = stepped(self._last, step * np.repeat(shares, 3))
        self._raw, self._elapsed = pose, 0
        return self._last

    def _share(self, cutoff: float) -> float:
        """How much of a new value a low pass takes, for the frames that have passed."""
        turns = 2 * np.pi * cutoff * self._elapsed
        return float(turns / (turns + 1))


@dataclass(slots=True, kw_only=True)
class ConstantVelocity:
    """A Kalman filter of pose and velocity that weighs each pose by its covariance and carries on
    where one is missing.

    The error state is a step of the pose and of its velocity, (12,). Accelerations are how much
    speeds are expected to change from a frame to the next. `most_missed` frames in a row are
    bridged; then there is no pose until one is seen. One farther off than `gate` (the squared
    distance in deviations) moves the filter less than it says; after `most_doubted` of these in a
    row, as where a film is cut, the filter begins anew.
    """

    rotation_acceleration: float = np.radians(0.2)
    shift_acceleration: float = 0.002
    first_rotation_speed: float = np.radians(5)
    first_shift_speed: float = 0.05
    most_missed: int = 15
    most_doubted: int = 5
    gate: float = 25.0
    _pose: Floats | None = field(default=None, init=False)
    _speed: Floats = field(default_factory=lambda: np.zeros(6), init=False)
    _covariance: Floats = field(default_factory=lambda: np.eye(12), init=False)
    _missed: int = field(default=0, init=False)
    _doubted: int = field(default=0, init=False)

    def update(self, pose: Floats | None, covariance: Floats | None = None) -> Floats | None:
        """The pose of this frame as everything up to it has it."""
        noise = USUAL_COVARIANCE if covariance is None else covariance
        if self._pose is not None:
            self._predict()
        if pose is None:
            self._missed += 1
            if self._missed > self.most_missed:
                self._pose = None
            return self._pose
        self._missed = 0
        if self._pose is not None:
            self._doubted = 0 if self._correct(self._pose, pose, noise) else self._doubted + 1
        if self._pose is None or self._doubted >= self.most_doubted:
            self._begin(pose, noise)
        return self._pose

    @property
    def covariance(self) -> Floats:
        """(6, 6) of a step away from the pose that was given last."""
        return self._covariance[:6, :6].copy()

    def _begin(self, pose: Floats, noise: Floats) -> None:
        self._pose, self._speed, self._doubted = pose, np.zeros(6), 0
        speeds = np.repeat([self.first_rotation_speed, self.first_shift_speed], 3)
        self._covariance = np.zeros((12, 12))
        self._covariance[:6, :6], self._covariance[6:, 6:] = noise, np.diag(speeds**2)

    def _predict(self) -> None:
        """One frame on at the present speed."""
        assert self._pose is not None
        self._pose = stepped(self._pose, self._speed)
        onward = np.eye(12)
        # A rotation's error is seen in the frame that has turned with the object.
        onward[:3, :3] = rotation(-self._speed[:3])
        onward[:6, 6:] = np.eye(6)
        accelerations = np.repeat([self.rotation_acceleration, self.shift_acceleration], 3)
        push = np.concatenate([np.diag(accelerations) / 2, np.diag(accelerations)])
        self._covariance = onward @ self._covariance @ onward.T + push @ push.T

    def _correct(self, predicted: Floats, pose: Floats, noise: Floats) -> bool:
        """Whether the pose was within the gate; it is followed as far as it is to be believed."""
        miss = step_between(predicted, pose)
        expected = self._covariance[:6, :6] + noise
        doubt = max(1.0, float(miss @ np.linalg.solve(expected, miss)) / self.gate)
        noise = doubt * noise
        expected = self._covariance[:6, :6] + noise
        gain = np.linalg.solve(expected, self._covariance[:6]).T
        change = gain @ miss
        self._pose = stepped(predicted, change[:6])
        self._speed = self._speed + change[6:]
        # Joseph's form stays positive whatever the rounding.
        rest = np.eye(12)
        rest[:, :6] -= gain
        self._covariance = rest @ self._covariance @ rest.T + gain @ noise @ gain.T
        return doubt == 1


def _turn(one: Floats, other: Floats) -> Floats:
    return one[:3, :3].T @ other[:3, :3]


USUAL_COVARIANCE = np.diag(np.repeat([np.radians(1.0), 0.005], 3) ** 2)
"""Of a pose of which none is known: one degree and half a hundredth of a unit on each axis."""
TRACKERS: dict[str, Callable[[], Tracker]] = {
    "none": NoTracker,
    "one-euro": OneEuro,
    "filter": ConstantVelocity,
}
"""What `--smooth` offers."""
