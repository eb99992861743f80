"""The built-in prompts: what a model can do beside what it is taught, from many sides."""

from __future__ import annotations

from simpletuner.validation.prompts import PromptSpec

# People, animals, places, things; photographs, drawings, paint; light, many objects, their places, words.
_PROMPTS = {
    "portrait_photo": "a photo of an old fisherman with a white beard, looking into the camera, soft evening light",
    "child_running": "a child in a yellow raincoat runs through puddles on a street, seen from the side",
    "two_people": "a woman in a red dress and a man in a grey suit dance in an empty ballroom",
    "hands": "two hands knead dough on a floured wooden table, close up",
    "cat_window": "a black cat sleeps on a window sill between two pots of basil",
    "horse_meadow": "a brown horse gallops across a foggy meadow at sunrise, photograph",
    "owl_macro": "the face of an owl, every feather in focus, dark background",
    "mountain_lake": "a wide landscape with snowy mountains mirrored in a still lake, clear morning",
    "city_rain": "a narrow street of a big city at night in the rain, neon signs reflected on the asphalt",
    "harbour_oil": "an oil painting of a small harbour with sailing boats, thick brush strokes",
    "garden_watercolour": "a watercolour of an overgrown garden with a wooden bench under a pear tree",
    "forest_ink": "an ink drawing of a forest path in winter, black on white paper",
    "robot_comic": "a comic panel of a rusty robot who waters a single flower on the moon",
    "dragon_book": "a picture from a children's book: a tiny green dragon reads by the light of its own flame",
    "castle_pixels": "a castle on a hill as pixel art with sixteen colours",
    "fox_logo": "a flat logo of a running fox made of a few orange shapes on white",
    "teapot_render": "a 3D render of a glass teapot with a blooming flower inside, studio light",
    "still_life": "a still life with three lemons, a silver knife and a blue jug on a linen cloth",
    "cubes": "a red cube on top of a green cube, and a yellow ball to the left of both, grey background",
    "five_birds": "exactly five white birds in a row on a wire against a pink sky",
    "shop_sign": 'a wooden sign above the door of a bakery with the words "FRESH BREAD"',
    "soup_above": "a bowl of tomato soup with basil and toasted bread, photographed from above",
    "train_poster": "a travel poster of the 1930s with a steam train crossing a high stone bridge",
    "chair_catalogue": "a single wooden chair with a woven seat, product photo on a white background",
}

LIBRARY = tuple(PromptSpec(nickname, prompt) for nickname, prompt in _PROMPTS.items())
"""In the order in which they are drawn."""
