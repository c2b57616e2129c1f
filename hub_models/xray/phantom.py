"""A chest X-ray drawn from geometry, with the exact masks of its lungs and opacities: for examples and tests.

Attenuations of the parts are added along the beam and turned into brightness by the Beer-Lambert law. Everything is
placed in the patient's own plane: x from the midline towards the image's right, y down from the image's top edge, in
units of the image's side; so a phantom is the same at every size. The patient's right is on the image's left.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Phantom:
    """One drawn X-ray, all (H, W): `image` uint8; bool `lungs` (also behind the heart) and `infection` in them.

    `right` is the part of `lungs` that is the patient's right lung, on the image's left.
    """

    image: np.ndarray
    lungs: np.ndarray
    infection: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Lung:
    """One lung's borders: `side` -1 is on the image's left, 1 on its right; then heights, and midline distances."""

    side: int
    apex: float
    dome: float
    angle: float
    medial: float
    width: float

    def lateral(self, y: np.ndarray | float) -> np.ndarray:
        """How far from the midline the chest wall is at height y: narrow at the apex, wide at the base."""
        return self.medial + self.width * _rise((y - self.apex) / (self.angle - self.apex), 2.2, 0.42)

    def diaphragm(self, across: np.ndarray) -> np.ndarray:
        """Height of the diaphragm at a distance from the midline: a dome that falls to the costophrenic angle."""
        u = (across - self.medial) / self.width - 0.4
        return self.dome + np.where(
            u < 0, np.minimum(0.22 * u**2, 0.026), (self.angle - self.dome) * np.abs(u / 0.6) ** 2.3
        )

    def mask(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Bool, the shape of x and y: inside this lung."""
        across = self.side * x
        medial = self.medial + 0.045 * (1 - _rise((y - self.apex) / 0.12, 2, 0.5))
        inside = (across > medial) & (across < self.lateral(y)) & (y > self.apex)
        return inside & (y < np.minimum(self.diaphragm(across), self.angle - 0.015))


@dataclass(frozen=True)
class Patient:
    """The anatomy that differs between seeds; a point z = x + iy of the patient is drawn at origin + turn * z."""

    origin: complex
    turn: complex
    lungs: tuple[Lung, Lung]
    heart: float
    girth: float
    gas: float
    bones: float
    exposure: float
    contrast: float

    def arm(self, y: np.ndarray) -> np.ndarray:
        """How far from the midline the upper arms' axes are at height y."""
        return 0.475 + self.girth + 0.2 * (y - 0.25)

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Patient":
        """Draw one patient."""
        apex, dome, width = rng.uniform(0.07, 0.13), rng.uniform(0.66, 0.75), rng.uniform(0.31, 0.37)
        angle, lower, medial = dome + rng.uniform(0.10, 0.15), rng.uniform(0.02, 0.045), rng.uniform(0.048, 0.066, 2)
        uneven = rng.normal(0, 0.006, 3)
        right = Lung(-1, apex, dome, angle, medial[0], width)
        left = Lung(1, apex + uneven[0], dome + lower, angle + lower / 2 + uneven[1], medial[1], width + uneven[2])
        origin = complex(rng.normal(0.5, 0.012), rng.normal(0, 0.012))
        turn = rng.uniform(0.93, 1.07) * np.exp(1j * rng.normal(0, 0.018))
        # heart, girth, gas, bones, exposure, contrast
        others = rng.uniform([0.85, 0.0, 0.0, 0.75, 1.15, 0.85], [1.15, 0.06, 0.4, 1.2, 1.6, 1.15])
        return cls(origin, turn, (right, left), *others)


def draw_phantom(seed: int, size: int = 256, opacities: int = 0) -> Phantom:
    """Draw the chest X-ray of `seed`, `size` pixels wide and high, with `opacities` patches of infection in the lungs.

    The same seed is the same patient at every size and with any number of opacities.
    """
    sample, branch, infect, film = np.random.default_rng(seed).spawn(4)
    patient = Patient.sample(sample)
    columns, rows = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2)
    plane = (columns + 1j * rows - patient.origin) / patient.turn
    x, y = plane.real, plane.imag
    right, left = (lung.mask(x, y) for lung in patient.lungs)
    lungs = right | left
    filled = _opacities(infect, patient, x, y, opacities) * lungs
    heart = _heart(patient, x, y)
    depth = ndimage.distance_transform_edt(lungs) / size
    air = 0.75 * (1 - np.exp(-depth / 0.018)) * (1 - 0.7 * heart) * (1 - filled)
    vessels = _vessels(branch, patient, size) * lungs
    attenuation = _tissue(patient, x, y) * (1 - air) + 0.42 * heart + vessels + patient.bones * _bones(patient, x, y)
    return Phantom(_expose(film, patient, attenuation), lungs, filled > 0, right)


def _rise(t: np.ndarray | float, steep: float, power: float) -> np.ndarray:
    """From 0 at t = 0 to 1 at t = 1, rounded like a quarter of a superellipse; constant outside."""
    return (1 - (1 - np.clip(t, 0, 1)) ** steep) ** power


def _curve(at: np.ndarray, knots: list[tuple[float, float]]) -> np.ndarray:
    """A smooth line through about the knots (position, value), evaluated at `at`."""
    dense = np.linspace(-0.3, 1.3, 801)
    values = np.interp(dense, *np.transpose(knots))
    return np.interp(at, dense, ndimage.gaussian_filter1d(values, 12, mode="nearest"))


def _noise(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Smooth noise of mean 0 and deviation about 1, float (size, size), with `cells` grains across at any size."""
    return ndimage.zoom(rng.normal(0, 1.2, (cells, cells)), size / cells, order=3, mode="reflect", grid_mode=True)


def _soft(distance: np.ndarray, width: float) -> np.ndarray:
    """A step from 0 to 1 where distance passes 0, blurred over `width`."""
    return 1 / (1 + np.exp(-np.clip(distance / width, -30, 30)))


def _tube(distance: np.ndarray, radius: float, hollow: float = 0.0) -> np.ndarray:
    """The beam's path through the wall of a tube, 1 at most when solid; `hollow` is the inner radius as a share."""
    d = (distance / radius) ** 2
    return np.sqrt(np.clip(1 - d, 0, 1)) - 0.8 * np.sqrt(np.clip(hollow**2 - d, 0, 1))


def _tissue(patient: Patient, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Skin, fat and muscle of neck, shoulders, trunk and arms; the abdomen is thicker than the chest."""
    across, wall = np.abs(x), patient.lungs[0].width + patient.lungs[0].medial + 0.035 + patient.girth
    side = _curve(y, [(0.0, 0.62), (0.18, 0.58), (0.32, wall + 0.03), (0.55, wall), (1.0, wall + 0.01)])
    shoulder = _curve(across, [(0.0, -0.3), (0.10, -0.2), (0.15, 0.01), (0.36, 0.06), (0.46, 0.09), (0.56, 0.2)])
    covered = 1 - np.exp(-np.clip(y - shoulder, 0, None) / 0.06)
    trunk = np.clip(1 - (across / side) ** 2, 0, 1) ** 0.45 * covered
    arm = 0.5 * _tube(across - patient.arm(y), 0.075) * covered
    right, left = (_soft(y - lung.diaphragm(across), 0.03) for lung in patient.lungs)
    below = np.where(x < 0, right, left)
    stomach = patient.gas * np.exp(-(np.hypot((x - 0.2) / 0.055, (y - patient.lungs[1].dome - 0.075) / 0.03) ** 4))
    return np.maximum(trunk * (0.92 + 0.3 * patient.girth + 0.35 * below - stomach), arm)


def _heart(patient: Patient, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Heart and great vessels, 0..1: right atrium on the image's left; aortic knob and the apex on its right."""
    h = patient.heart
    right = [(0.0, 0.04), (0.3, 0.05), (0.45, 0.06), (0.6, 0.095 * h), (0.68, 0.10 * h), (0.8, 0.06)]
    left = [(0.0, 0.035), (0.24, 0.045), (0.30, 0.085), (0.36, 0.06), (0.43, 0.08), (0.5, 0.10)]
    left += [(0.6, 0.16 * h), (0.69, 0.205 * h), (0.75, 0.215 * h), (0.82, 0.16 * h), (0.9, 0.05)]
    inside = np.minimum(x + _curve(y, right), _curve(y, left) - x)
    return (1 - np.exp(-np.clip(inside, 0, None) / 0.02)) * _soft(patient.lungs[1].dome + 0.06 - y, 0.025)


def _bones(patient: Patient, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spine, clavicles, upper arms and ten pairs of ribs, with the windpipe's air taken away."""
    across = np.abs(x)
    discs = 0.8 + 0.2 * np.cos(2 * np.pi * y / 0.058)
    spine = 0.22 * _tube(x, 0.042, 0.75) * discs + 0.10 * discs * _soft(0.036 - across, 0.003)
    trachea = _tube(x + 0.004, 0.02) * _soft(0.36 - y, 0.02)
    height = patient.lungs[0].apex + 0.085 - 0.18 * across + 0.016 * np.sin((across - 0.03) * 17)
    clavicle = _tube(y - height, 0.015, 0.6) * _soft(across - 0.035, 0.004) * _soft(0.39 - across, 0.008)
    humerus = _tube(across - patient.arm(y), 0.03, 0.7) * _soft(y - 0.15, 0.01)
    scapula = _tube(across - 0.46 + 0.35 * (y - 0.2), 0.012, 0.7) * _soft(y - 0.17, 0.01) * _soft(0.47 - y, 0.01)
    ribs = sum(_rib(lung, number, x, y) for lung in patient.lungs for number in range(10))
    return spine - 0.35 * trachea + 0.28 * clavicle + 0.3 * humerus + 0.1 * scapula + 0.22 * ribs


def _rib(lung: Lung, number: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One rib: a tilted ellipse, its lower half (the front of the chest) fainter and open towards the sternum."""
    pitch = (lung.angle - lung.apex) / 9.5
    across, drop = lung.side * x, 0.11 - 0.06 * 0.6**number
    tall = y - (lung.apex + 0.01 + pitch * number + drop) - (0.04 + 0.02 * number) * across
    wide = lung.lateral(np.maximum(y, lung.apex + 0.03)) + 0.006
    field = np.hypot(across / wide, tall / drop)
    slope = np.hypot(*np.gradient(field, 1 / len(x))) + 1e-6
    front = _soft(tall, 0.01)
    shade = (1 - front) + 0.55 * front * _soft(across - 0.20, 0.02) * _soft(lung.dome - y, 0.03)
    return _tube((field - 1) / slope, 0.0125 + 0.003 * front, 0.75) * shade * (across > 0)


def _vessels(rng: np.random.Generator, patient: Patient, size: int) -> np.ndarray:
    """Blood vessels: trees that start at each hilum and fork as they thin."""
    step, drawn = 0.0015, np.zeros((size, size))
    fan = np.radians(np.linspace(-75, 80, 9))
    heads = np.concatenate([fan, np.pi - fan]) + rng.normal(0, 0.12, 18)
    tips = np.repeat([0.075 + 0.42j, -0.075 + 0.44j], 9) + rng.normal(0, 0.014, 18) * 1j
    for radius, steps in ((0.0065, 60), (0.0045, 60), (0.003, 60), (0.002, 50), (0.0015, 40)):
        turns = heads[:, None] + np.cumsum(rng.normal(0, 0.05, (len(heads), steps)), axis=1)
        paths = tips[:, None] + step * np.cumsum(np.exp(1j * turns), axis=1)
        spots = (patient.origin + patient.turn * paths.ravel()) * size
        hits, *_ = np.histogram2d(spots.imag, spots.real, bins=size, range=[[0, size]] * 2)
        drawn += 45 * radius * (step * radius * size**2) * ndimage.gaussian_filter(hits, radius * size)
        tips = np.repeat(paths[:, -1], 2)
        heads = np.repeat(turns[:, -1], 2) + np.tile([-0.35, 0.35], len(heads)) + rng.normal(0, 0.12, 2 * len(heads))
    return drawn


def _opacities(rng: np.random.Generator, patient: Patient, x: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """The share of the air that patches of ground glass (less) and consolidation (more) have replaced, 0..1."""
    filled = np.zeros(x.shape)
    for _ in range(count):
        lung = patient.lungs[rng.integers(2)]
        height = lung.apex + (lung.dome - lung.apex) * rng.uniform(0.35, 0.95)
        across = lung.medial + (lung.lateral(height) - lung.medial) * rng.uniform(0.5, 0.9)
        radius, density = rng.uniform(0.06, 0.13), rng.uniform(0.4, 0.85)
        ragged = 0.16 * _noise(rng, 14, len(x)) + 0.04 * _noise(rng, 40, len(x))
        inside = 1 + ragged - np.hypot((lung.side * x - across), 0.7 * (y - height)) / radius
        patchy = 1 + 0.12 * _noise(rng, 20, len(x)) + 0.06 * _noise(rng, 64, len(x))
        cloud = density * np.clip(0.25 + 0.9 * inside, 0, 1) * np.clip(patchy, 0.6, 1.15)
        filled = np.maximum(filled, cloud * (inside > 0) * (lung.side * x > 0))
    return filled


def _expose(rng: np.random.Generator, patient: Patient, attenuation: np.ndarray) -> np.ndarray:
    """The film, uint8: bright where little of the beam came through, with tissue texture, slight blur and grain."""
    size = len(attenuation)
    texture = 1 + 0.012 * _noise(rng, 96, size) + 0.02 * _noise(rng, 24, size) + 0.03 * _noise(rng, 6, size)
    bright = 1 - np.exp(-patient.exposure * np.clip(attenuation, 0, None) * texture)
    bright = ndimage.gaussian_filter(bright, 0.0018 * size) ** patient.contrast
    grain = rng.normal(0, 0.009, bright.shape)
    return np.clip(255 * (0.02 + 0.92 * bright + grain), 0, 255).astype(np.uint8)
