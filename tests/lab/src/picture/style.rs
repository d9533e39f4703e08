//! How characters look: the parameters of SGR, and colours for them.

/// What is behind everything.
pub(super) const BACKGROUND: &str = "#1c2128";
const FOREGROUND: &str = "#cdd9e5";

/// The sixteen named colours, dark and bright.
const NAMED: [&str; 16] = [
    "#545d68", "#f47067", "#57ab5a", "#c69026", "#539bf5", "#b083f0", "#39c5cf", "#adbac7",
    "#768390", "#ff938a", "#6bc46d", "#daaa3f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#f0f6fc",
];

/// Steps of a colour in the cube of 256 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A colour as SGR names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colour {
    /// The terminal's own.
    #[default]
    Default,
    /// One of 256.
    Numbered(u8),
    /// Red, green, blue.
    Exact(u8, u8, u8),
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    foreground: Colour,
    background: Colour,
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

impl Style {
    /// Obeys the parameters of one sequence. What it doesn't know changes nothing.
    pub(super) fn apply(&mut self, parameters: &str) {
        let mut numbers =
            parameters.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.faint) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.foreground = Colour::Numbered((number - 30) as u8),
                39 => self.foreground = Colour::Default,
                40..=47 => self.background = Colour::Numbered((number - 40) as u8),
                49 => self.background = Colour::Default,
                90..=97 => self.foreground = Colour::Numbered((number - 82) as u8),
                100..=107 => self.background = Colour::Numbered((number - 92) as u8),
                38 => self.foreground = longer(&mut numbers).unwrap_or(self.foreground),
                48 => self.background = longer(&mut numbers).unwrap_or(self.background),
                _ => {}
            }
        }
    }

    /// Whether a blank in this style shows.
    pub(super) fn is_visible_on_blanks(&self) -> bool {
        self.background != Colour::Default || self.reversed || self.underlined
    }

    /// Colour of the text, and what is behind it unless that is nothing special.
    pub(super) fn colours(&self) -> (String, Option<String>) {
        let fore = self.foreground.code(FOREGROUND);
        let back = self.background.code(BACKGROUND);
        if self.reversed {
            (back, Some(fore))
        } else {
            (fore, (self.background != Colour::Default).then_some(back))
        }
    }

    /// All but colours, as attributes of SVG.
    pub(super) fn attributes(&self) -> String {
        let mut text = String::new();
        for (wanted, attribute) in [
            (self.bold, " font-weight=\"bold\""),
            (self.faint, " opacity=\"0.6\""),
            (self.italic, " font-style=\"italic\""),
            (self.underlined, " text-decoration=\"underline\""),
        ] {
            if wanted {
                text.push_str(attribute);
            }
        }
        text
    }
}

/// What follows 38 and 48: 5 and a number, or 2 and three.
fn longer(numbers: &mut impl Iterator<Item = u16>) -> Option<Colour> {
    let mut byte = || numbers.next().map(|number| number.min(255) as u8);
    match byte()? {
        5 => Some(Colour::Numbered(byte()?)),
        2 => Some(Colour::Exact(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

impl Colour {
    fn code(self, default: &str) -> String {
        let (red, green, blue) = match self {
            Self::Default => return default.to_owned(),
            Self::Numbered(number) => match NAMED.get(usize::from(number)) {
                Some(named) => return (*named).to_owned(),
                None => beyond_names(number),
            },
            Self::Exact(red, green, blue) => (red, green, blue),
        };
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The cube of 216 colours from 16 on, and 24 greys from 232 on.
fn beyond_names(number: u8) -> (u8, u8, u8) {
    if number >= 232 {
        let grey = 8 + (number - 232) * 10;
        return (grey, grey, grey);
    }
    let place = usize::from(number.saturating_sub(16));
    let step = |of: usize| STEPS.get(of % 6).copied().unwrap_or_default();
    (step(place / 36), step(place / 6), step(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_colours() {
        let cases = [
            ("", FOREGROUND, None),
            ("31", "#f47067", None),
            ("91", "#ff938a", None),
            ("38;5;196", "#ff0000", None),
            ("38;5;244", "#808080", None),
            ("38;2;1;2;3", "#010203", None),
            ("38:2:1:2:3", "#010203", None),
            ("38;2;1", FOREGROUND, None),
            ("42", FOREGROUND, Some("#57ab5a")),
            ("31;7", BACKGROUND, Some("#f47067")),
            ("31;0", FOREGROUND, None),
            ("999;31", "#f47067", None),
            ("104", FOREGROUND, Some("#6cb6ff")),
        ];
        for (parameters, fore, back) in cases {
            let mut style = Style::default();
            style.apply(parameters);
            let expected = (fore.to_owned(), back.map(str::to_owned));
            assert_eq!(style.colours(), expected, "{parameters:?}");
        }
    }

    #[test]
    fn attributes_come_and_go() {
        let mut style = Style::default();
        style.apply("1;2;3;4");
        assert_eq!(style.attributes().matches('=').count(), 4);
        style.apply("22;23;24");
        assert_eq!(style, Style::default());
    }
}
