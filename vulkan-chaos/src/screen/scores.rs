//! The scoreboard: a line for each group, a column for each number.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::View;
use super::query::Wanted;
use crate::number::{Counts, Number};
use crate::order::{GROUPS, PAYMENTS};
use crate::server::State;

const NAME: usize = 8;

pub(super) fn show(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let theme = view.theme;
    let mut head = vec![Span::raw(" ".repeat(NAME))];
    for number in Number::ALL {
        let style = match view.wanted == Wanted::Number(number) {
            true => theme.chosen(),
            false => theme.head(),
        };
        let title = number.title();
        head.push(Span::raw(" ".repeat(number.width() - title.len())));
        head.push(Span::styled(title, style));
    }
    let mut lines = vec![Line::from(head)];
    let counts = view.facts.board.map(|board| board.counts);
    for group in GROUPS {
        let mut line = vec![Span::styled(format!("{group:NAME$}"), theme.head())];
        for number in Number::ALL {
            let text = counts.map_or("-".into(), |counts| counts.of(number, group).to_string());
            let style = counts.map_or(theme.faint(), |counts| style(view, &counts, number, group));
            line.push(Span::styled(
                format!("{text:>w$}", w = number.width()),
                style,
            ));
        }
        lines.push(Line::from(line));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn style(view: &View<'_>, counts: &Counts, number: Number, group: &str) -> Style {
    let theme = view.theme;
    let any = counts.of(number, group) > 0;
    match number {
        _ if view.trouble.is_some() => theme.faint(),
        Number::Lost if any => theme.bad(),
        Number::Repeated if any && group == PAYMENTS => theme.bad(),
        Number::Lost => theme.good(),
        Number::Repeated if group == PAYMENTS => theme.good(),
        Number::Retrying | Number::Dead | Number::Rerun | Number::Repeated if any => theme.odd(),
        _ => Style::new(),
    }
}

/// How old the numbers are.
pub(super) fn show_reading(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let theme = view.theme;
    let line = match (view.trouble, view.facts.board) {
        (Some(trouble), _) => {
            let why = match view.facts.server {
                State::Up => trouble.lines().next().unwrap_or_default(),
                State::Away(..) => "there is no Postgres to ask",
            };
            Line::styled(format!("old numbers: {why}"), theme.odd())
        }
        (None, Some(board)) => {
            let took = board.took.as_millis();
            let promises = "emails: at least once, payments: exactly once.";
            let line = format!("{promises} All of this SQL took {took} ms.");
            Line::styled(line, theme.faint())
        }
        (None, None) => Line::styled("no numbers yet", theme.faint()),
    };
    frame.render_widget(line, area);
}
