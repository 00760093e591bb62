"""Palette: line colours that can be told apart by colour-blind people, on a light and on a dark page."""

# After Okabe and Ito's set, shifted until each has a contrast of at least 3:1 against white and against near-black.
# Neighbours in the list differ in lightness and in the blue-yellow direction, which all common kinds of colour
# blindness leave intact.
PALETTE = ("#2A7FC1", "#C77700", "#00916A", "#B85F95", "#7A6FD0", "#A08600")


def color(number: int) -> str:
    """Return the colour of the line with this number, beginning again after the last."""
    return PALETTE[number % len(PALETTE)]
