//! Colours, or, where `NO_COLOR` is set, what does without.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Coloured,
    Plain,
}

impl Theme {
    /// As <https://no-color.org> has it: any value but the empty one.
    pub(crate) fn of_environment() -> Self {
        match std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            true => Self::Plain,
            false => Self::Coloured,
        }
    }

    pub(super) fn title(self) -> Style {
        self.with(Color::Cyan).add_modifier(Modifier::REVERSED)
    }

    pub(super) fn head(self) -> Style {
        self.with(Color::Cyan)
    }

    pub(super) fn chosen(self) -> Style {
        self.head().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn good(self) -> Style {
        self.with(Color::Green)
    }

    pub(super) fn won(self) -> Style {
        self.good()
            .add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    pub(super) fn odd(self) -> Style {
        self.with(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) fn bad(self) -> Style {
        self.with(Color::Red)
            .add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn with(self, colour: Color) -> Style {
        match self {
            Self::Coloured => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }
}
