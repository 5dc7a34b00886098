//! What the terminal shows. 80 columns and 24 lines are enough; more lines are more news.

mod foot;
mod query;
mod scores;
#[cfg(test)]
mod tests;
mod theme;
mod things;

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

pub(crate) use query::Wanted;
pub(crate) use theme::Theme;

use crate::hints::Facts;
use crate::number::Number;

const WIDTH: u16 = 80;
const HEIGHT: u16 = 24;

/// Everything that is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) facts: Facts<'a>,
    /// Why the numbers are not newer.
    pub(crate) trouble: Option<&'a str>,
    pub(crate) hint: &'a str,
    /// With the time since the start, newest first.
    pub(crate) news: &'a VecDeque<(Duration, String)>,
    pub(crate) wanted: Wanted,
    /// The command that lets anybody ask for themselves.
    pub(crate) psql: &'a str,
    pub(crate) running: Duration,
    pub(crate) theme: Theme,
}

pub(crate) fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let area = frame.area();
    if area.width < WIDTH || area.height < HEIGHT {
        let (wide, high) = (area.width, area.height);
        let small = format!(
            "The screen needs {WIDTH}x{HEIGHT}, and this terminal has {wide}x{high}. Enlarge it, or q: quit"
        );
        let wrap = ratatui::widgets::Wrap { trim: true };
        return frame.render_widget(Paragraph::new(small).wrap(wrap), area);
    }
    let lines = |many| Constraint::Length(many);
    let [
        title,
        scores,
        reading,
        things,
        name,
        query,
        rule,
        news,
        hint,
        keys,
    ] = Layout::vertical([
        lines(1),
        lines(3),
        lines(1),
        lines(3),
        lines(1),
        lines(query::LINES),
        lines(1),
        Constraint::Min(3),
        lines(1),
        lines(3),
    ])
    .areas(area);
    show_title(frame, title, view);
    scores::show(frame, scores, view);
    scores::show_reading(frame, reading, view);
    things::show(frame, things, view);
    query::show_name(frame, name, view);
    query::show(frame, query, view);
    foot::show_rule(frame, rule, view);
    foot::show_news(frame, news, view);
    foot::show_hint(frame, hint, view);
    foot::show_keys(frame, keys, view);
}

fn show_title(frame: &mut Frame<'_>, area: Rect, view: &View<'_>) {
    let seconds = view.running.as_secs();
    let clock = format!("{}:{:02} ", seconds / 60, seconds % 60);
    let title = " Vulkan chaos: try to lose a message";
    let title = format!("{title:<width$}", width = usize::from(area.width));
    frame.render_widget(Line::styled(title, view.theme.title()), area);
    let mut right = vec![Span::styled(clock, view.theme.title())];
    if let Some(board) = view.facts.board {
        let (lost, promised) = [Number::Lost, Number::Produced]
            .map(|number| board.counts.sum(number))
            .into();
        let style = match lost {
            0 => view.theme.won(),
            _ => view.theme.bad(),
        };
        let score = format!(" {lost} of {promised} lost ");
        right.insert(0, Span::styled(score, style));
        right.insert(1, Span::styled("  ", view.theme.title()));
    }
    frame.render_widget(Line::from(right).right_aligned(), area);
}
