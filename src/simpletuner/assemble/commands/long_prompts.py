"""What probes ask for when the user gives no prompt. No torch here."""

from __future__ import annotations

LONG = (
    "A woman in a green raincoat waits at a tram stop in the rain, her umbrella closed under one arm. Behind her "
    "the window of a bakery glows orange, and three loaves lie on a wooden shelf. A grey cat sits on the doorstep "
    "and looks at a puddle. To the left a red bicycle leans against a lamp post, its basket full of yellow "
    "tulips. Two children in blue boots jump over the gutter while an old man with a white beard holds their "
    "school bags. The street is paved with dark stones that mirror the sky. On the right a poster shows a sailing "
    "ship above a line of black letters. A pigeon walks between the rails. In the distance a tram with round "
    "headlights comes around the corner, and steam rises from a grating beside the pavement. The air looks cold, "
    "the light is soft and comes from low on the left, and the whole picture has the colours of an old "
    "photograph.",
    "A long wooden table stands in a sunny kitchen. At its near end lies a blue plate with four slices of lemon "
    "cake and a silver fork. Beside the plate a glass of milk throws a pale shadow on a striped cloth. In the "
    "middle of the table a brown teapot with a chipped lid stands on a ring of cork. Three green apples and a "
    "pear fill a shallow bowl next to it. A folded newspaper and a pair of round spectacles lie at the far end, "
    "where a small dog with one white ear rests its chin on an empty chair. Copper pans hang in a row above the "
    "stove. The window is open, a curtain moves in the wind, and outside a ladder leans against a cherry tree. A "
    "clock on the wall shows ten past four. Dust floats in the beam of light, the floor has black and white "
    "tiles, and one of them is cracked.",
    "A small robot with a dented round head plants a tree on a hill at dusk. It holds a shovel in its left hand "
    "and a watering can in its right. Its chest has one yellow lamp and a row of five buttons. At its feet a "
    "hedgehog sniffs at a paper bag of seeds. Behind the robot a wooden fence runs down to a village of white "
    "houses with blue shutters. Smoke rises straight from two of the chimneys. On the river beyond, a rowing boat "
    "with a lantern drifts under a stone bridge. Above the far mountains the sky turns from orange to violet, and "
    "the first star stands over the highest peak. An owl watches from a bare branch in the upper right corner. In "
    "the grass lie a red ball, a broken kite and a tin box without its lid. The drawing is made with coloured "
    "pencils on rough paper.",
)
"""Descriptions of about 200 tokens each, in sentences of equal weight."""

SHORT = ("a red apple", "a rocket", "a smiling cat")
"""What is drawn to be looked at."""
