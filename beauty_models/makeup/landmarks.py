"""Faces of a photo: where they are, and 468 points of each.

MediaPipe's short-range detector and face mesh (`backbones.mediapipe`).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from beauty_models.backbones import mediapipe
from beauty_models.makeup.warping import inverse, moved, square, warp

DETECTOR_SIDE = 128  # pixels of the detector's window
MESH_SIDE = 192
MESH_POINTS = 468
STRIDE = 88  # between windows: what fits the next smaller level, 32 pixels, lies whole in one
# 29 of 29 portraits are found with faces of 14 pixels in the window, 23 with 10.
LEAST_IN_WINDOW = 16
SMALLEST = 40  # pixels of a face in the photo that are looked for
DETECTED = 0.5  # least score of a detection
# Least score of a mesh. Of 29 portraits, also small and turned ones, none has less than 0.9999; the
# badge of a space suit has 0.84, a shoe 0.87.
SURE = 0.95
OVERLAP = 0.3  # of two boxes of one face (intersection over union)
# The detector's anchors: cells a side of its two feature maps, and anchors in each cell.
ANCHOR_MAPS = ((16, 2), (8, 6))
LEAST_COSINE = 0.3  # of a face's turn, by which its width is corrected
MARGIN = 1.5  # of the mesh's square, times the longer side of the face

# Numbers of mesh points. Left and right are those of the picture.
LEFT_EYE_CORNERS = (33, 133)  # outer, inner
RIGHT_EYE_CORNERS = (263, 362)
MOUTH_CORNERS = (61, 291)


class FaceModelError(ValueError):
    """The models that find faces cannot be loaded; the message says what to do."""


class Face(NamedTuple):
    """One face in a photo; coordinates are pixels, (0, 0) is the center of the first one."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 around the points
    points: NDArray[np.float32]  # [468, 2]; those of a face at the border lie outside the photo
    depth: NDArray[np.float32]  # [468] pixels, smaller is nearer
    score: float  # of the mesh, 0 to 1
    turn: float  # yaw, degrees: positive when the face looks to the right of the picture
    roll: float  # degrees of the line through the eyes: positive when its right end is lower

    @property
    def left_eye(self) -> NDArray[np.float32]:
        """Return the center of the eye on the picture's left."""
        return _middle(self.points, LEFT_EYE_CORNERS)

    @property
    def right_eye(self) -> NDArray[np.float32]:
        """Return the center of the eye on the picture's right."""
        return _middle(self.points, RIGHT_EYE_CORNERS)

    @property
    def mouth(self) -> NDArray[np.float32]:
        """Return the point between the corners of the mouth."""
        return _middle(self.points, MOUTH_CORNERS)

    @property
    def width(self) -> float:
        """Return twice the distance of the eyes, which is about the width of a face."""
        step = self.right_eye - self.left_eye
        seen_distance = np.hypot(*step)
        # In space, so that a face that is turned is not taken for a narrow one.
        foreshortening = max(LEAST_COSINE, np.cos(np.radians(self.turn)))
        return float(2 * seen_distance / foreshortening)


def _middle(points: NDArray[np.float32], numbers: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(points[list(numbers)].mean(0), np.float32)


def _run(name: str, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return what `mediapipe.run` does.

    Raises:
        FaceModelError: the wheel is not there, or is not the one that was published.
    """
    try:
        return mediapipe.run(name, picture)
    except mediapipe.ModelFileError as error:
        raise FaceModelError(f"faces cannot be found without their models: {error}") from error


@cache
def _anchors() -> NDArray[np.float32]:
    """Return the centers of the detector's 896 anchors, 0 to 1."""
    centers = []
    for cells, count in ANCHOR_MAPS:
        steps = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(steps, steps)
        grid = np.stack([x, y], -1).reshape(-1, 2)
        centers.append(np.repeat(grid, count, 0))
    return np.concatenate(centers).astype(np.float32)


# A detection is a row: score, box x0 y0 x1 y1, right eye x y, left eye x y (of the picture: left,
# right), in pixels from the corner of the photo.
_Detections = NDArray[np.float32]


def _window_detections(window: NDArray[np.uint8]) -> _Detections:
    """Return the detections in a picture [128, 128, 3], in pixels of it."""
    # From -1 to 1, as it was trained.
    picture = window.astype(np.float32) / np.float32(127.5) - 1
    boxes, logits = _run(mediapipe.FACE_DETECTOR, picture)
    score = expit(logits[:, 0])
    chosen = score >= DETECTED
    # Center, size and six key points, of which the first two are the eyes.
    values = boxes[chosen].reshape(-1, 8, 2)
    # All but the size are relative to the anchor.
    anchors = _anchors()[chosen] * DETECTOR_SIDE
    center = values[:, 0] + anchors
    half_size = values[:, 1] / 2
    top_left = center - half_size
    bottom_right = center + half_size
    eyes = values[:, 2:4] + anchors[:, None]
    columns = [score[chosen, None], top_left, bottom_right, eyes.reshape(-1, 4)]
    return np.concatenate(columns, 1).astype(np.float32)


def _starts(length: int) -> list[int]:
    """Return where windows begin on an axis of ``length`` pixels, so that they cover all of it."""
    last = max(0, length - DETECTOR_SIDE)
    # The last window ends with the photo, however far it is from the one before it.
    return sorted({*range(0, last, STRIDE), last})


def _level_detections(photo: NDArray[np.uint8], longest: int) -> _Detections:
    """Return the detections of ``photo`` when its longer side is shrunk to ``longest`` pixels."""
    scale = longest / max(photo.shape[:2])
    level = _level(photo, scale)
    found = [np.empty((0, 9), np.float32)]
    for y in _starts(level.shape[0]):
        for x in _starts(level.shape[1]):
            window = level[y : y + DETECTOR_SIDE, x : x + DETECTOR_SIDE]
            detections = _window_detections(window)
            # Four points follow the score.
            corner = np.array([x, y] * 4, np.float32)
            detections[:, 1:] += corner
            found.append(detections)
    detections = np.concatenate(found)
    detections[:, 1:] /= np.float32(scale)
    return detections


def _level(photo: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return ``photo`` scaled, black at the right and below where a window needs more pixels."""
    height, width = photo.shape[:2]
    level_width = max(1, round(width * scale))
    level_height = max(1, round(height * scale))
    # Means of areas where it shrinks: linear interpolation would skip pixels.
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    level = cv2.resize(photo, (level_width, level_height), interpolation=interpolation)
    below = max(0, DETECTOR_SIDE - level_height)
    right = max(0, DETECTOR_SIDE - level_width)
    padded = np.pad(level, ((0, below), (0, right), (0, 0)))
    return np.asarray(padded, np.uint8)


def _overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of ``box`` [4] with each of ``boxes`` [n, 4]."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    intersection = (high - low).clip(0).prod(1)
    own_area = (box[2:] - box[:2]).prod()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    union = own_area + areas - intersection
    return np.asarray(intersection / np.maximum(union, 1e-6), np.float32)


def _merged(detections: _Detections) -> _Detections:
    """Return one detection a face: the mean of those that overlap, weighted by their scores."""
    # BlazeFace's blending, in place of non-maximum suppression: boxes jitter less.
    by_score = np.argsort(-detections[:, 0], kind="stable")
    detections = detections[by_score]
    merged = []
    while len(detections):
        boxes = detections[:, 1:5]
        same = _overlap(boxes[0], boxes) >= OVERLAP
        same[0] = True  # also a box without any area
        score = detections[same, :1]
        weighted = detections[same] * score
        mean = weighted.sum(0) / score.sum()
        # The score is the best one's, not the mean.
        merged.append(np.concatenate([score[0], mean[1:]]))
        detections = detections[~same]
    return np.array(merged, np.float32).reshape(-1, 9)


class _Mesh(NamedTuple):
    """What the mesh's network says of a square."""

    points: NDArray[np.float64]  # [468, 2] photo pixels
    depth: NDArray[np.float64]  # [468] photo pixels
    score: float  # 0 to 1


def _mesh(
    photo: NDArray[np.uint8], center: NDArray[np.floating], length: float, angle: float
) -> _Mesh:
    """Return the points of the face in the square of ``length`` × `MARGIN` around ``center``."""
    matrix = square(center, MARGIN * length, angle, MESH_SIDE)
    cut_out = warp(photo, matrix, (MESH_SIDE, MESH_SIDE))
    picture = cut_out.astype(np.float32) / np.float32(255)
    coordinates, logit = _run(mediapipe.FACE_MESH, picture)
    in_square = coordinates.reshape(MESH_POINTS, 3).astype(np.float64)
    # The model counts from the corner of the first pixel, not from its center.
    points = moved(in_square[:, :2] - 0.5, inverse(matrix))
    # Depth is in the unit of x and y.
    scale = MARGIN * length / MESH_SIDE
    depth = in_square[:, 2] * scale
    score = float(expit(logit.ravel()[0]))
    return _Mesh(points, depth, score)


def _angle(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Return the angle of the line from ``left`` to ``right``, radians, clockwise."""
    across, down = right - left
    return float(np.arctan2(down, across))


def _face(photo: NDArray[np.uint8], detection: NDArray[np.float32]) -> Face | None:
    """Return the face at ``detection``; None where the mesh finds that there is none."""
    top_left = detection[1:3]
    bottom_right = detection[3:5]
    length = float((bottom_right - top_left).max())
    if length < 1:
        return None
    angle = _angle(detection[5:7], detection[7:9])
    center = (top_left + bottom_right) / 2 - 0.5
    mesh = _mesh(photo, center, length, angle)
    if mesh.score < SURE:
        return None
    refined = _refined(photo, mesh)
    if refined.score >= SURE:
        mesh = refined
    return _described(mesh)


def _refined(photo: NDArray[np.uint8], mesh: _Mesh) -> _Mesh:
    """Return the mesh once more, from where its points are.

    MediaPipe follows a face in a video so. The box of the detector is coarse, and the network is
    trained on faces that lie right.
    """
    outer_left = mesh.points[LEFT_EYE_CORNERS[0]]
    outer_right = mesh.points[RIGHT_EYE_CORNERS[0]]
    angle = _angle(outer_left, outer_right)
    to_upright = square(np.zeros(2), 1, angle, 1)
    upright = moved(mesh.points, to_upright)
    middle = (upright.min(0) + upright.max(0)) / 2
    length = float(np.ptp(upright, axis=0).max())
    [center] = moved(middle[None], inverse(to_upright))
    return _mesh(photo, center, length, angle)


def _described(mesh: _Mesh) -> Face:
    """Return the face of a mesh, with its pose."""
    # The outer corners: the farther apart, the less an error of a pixel turns the face.
    left = LEFT_EYE_CORNERS[0]
    right = RIGHT_EYE_CORNERS[0]
    step = mesh.points[right] - mesh.points[left]
    farther = float(mesh.depth[right] - mesh.depth[left])
    turn = np.arctan2(farther, np.hypot(*step))
    roll = _angle(mesh.points[left], mesh.points[right])
    x0, y0 = mesh.points.min(0)
    x1, y1 = mesh.points.max(0)
    return Face(
        box=(float(x0), float(y0), float(x1), float(y1)),
        points=mesh.points.astype(np.float32),
        depth=mesh.depth.astype(np.float32),
        score=mesh.score,
        turn=float(np.degrees(turn)),
        roll=float(np.degrees(roll)),
    )


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.box
    return (x1 - x0) * (y1 - y0)


def _distinct(faces: list[Face]) -> list[Face]:
    """Return ``faces``, largest first, without those that lie where a surer one does."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        box = np.array(face.box, np.float32)
        boxes = np.array([other.box for other in kept], np.float32).reshape(-1, 4)
        is_same = _overlap(box, boxes) >= OVERLAP
        if not is_same.any():
            kept.append(face)
    return sorted(kept, key=_area, reverse=True)


def _levels(longest: int, smallest: int) -> list[int]:
    """Return the sizes at which a photo is looked at, coarse to fine."""
    # A face is at least this part of the longer side, so this many pixels are needed.
    finest = LEAST_IN_WINDOW * longest // smallest
    levels = [DETECTOR_SIDE]
    while levels[-1] < finest:
        levels.append(min(2 * levels[-1], finest))
    return levels


def find_faces(photo: NDArray[np.uint8], smallest: int = SMALLEST) -> list[Face]:
    """Return the faces of an upright RGB photo [height, width, 3], largest first.

    The whole photo is looked at in one window first, then in more windows, each half as large as
    those before, down to faces of ``smallest`` pixels. The first level that shows a face is the
    last but one: faces under a quarter of the largest one's size may be missing, as portraits take
    milliseconds and not seconds.

    A face that lies more than about 45 degrees on its side is not found.

    Raises:
        FaceModelError: the models are not there.
    """
    assert photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8
    faces: list[Face] = []
    for longest in _levels(max(photo.shape[:2]), smallest):
        is_last = bool(faces)
        for detection in _merged(_level_detections(photo, longest)):
            face = _face(photo, detection)
            if face is not None:
                faces.append(face)
        faces = _distinct(faces)
        if is_last:
            break
    return faces
