//! The SQL behind the number that is chosen, word for word as it is run.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::View;
use crate::board::{HeldSnapshot, Stall};
use crate::number::Number;

/// As many as the longest query has.
pub(super) const LINES: u16 = 6;

/// What the SQL is wanted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Number(Number),
    Stall,
    Snapshot,
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Number(Number::Lost)
    }
}

impl Wanted {
    /// In the order of the screen.
    pub(super) fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        let numbers = Number::ALL.into_iter().map(Self::Number);
        numbers.chain([Self::Stall, Self::Snapshot])
    }

    pub(crate) fn next(self) -> Self {
        let after = Self::all().skip_while(|wanted| *wanted != self).nth(1);
        after.unwrap_or(Self::Number(Number::ALL[0]))
    }

    pub(crate) fn previous(self) -> Self {
        let before = Self::all().rev().skip_while(|wanted| *wanted != self);
        before.clone().nth(1).unwrap_or(Self::Snapshot)
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Number(number) => number.title(),
            Self::Stall => "publisher",
            Self::Snapshot => "snapshot",
        }
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Number(number) => number.sql(),
            Self::Stall => Stall::SQL,
            Self::Snapshot => HeldSnapshot::SQL,
        }
    }
}

pub(super) fn show_name(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let theme = view.theme;
    let name = format!("-- {} is: ", view.wanted.title());
    let rule = "-".repeat(usize::from(area.width).saturating_sub(name.len()));
    frame.render_widget(Line::styled(name + &rule, theme.head()), area);
    let psql = Line::styled(format!(" {} ", view.psql), theme.faint());
    frame.render_widget(psql.right_aligned(), area);
}

pub(super) fn show(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    frame.render_widget(Paragraph::new(view.wanted.sql()), area);
}
