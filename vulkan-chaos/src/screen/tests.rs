use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::query::LINES;
use super::{Theme, View, Wanted, draw};
use crate::attack::Attack;
use crate::board::{Board, HeldSnapshot, Stall};
use crate::crew::{Doing, Seen};
use crate::hints::{Facts, hint};
use crate::number::{Counts, Number};
use crate::order::GROUPS;
use crate::server::{How, State};
use crate::worker::Held;

/// Something of everything, with large numbers.
struct Scene {
    board: Board,
    members: Vec<Seen>,
    server: State,
    news: VecDeque<(Duration, String)>,
    trouble: Option<&'static str>,
    wanted: Wanted,
    theme: Theme,
}

impl Scene {
    fn new() -> Self {
        let mut counts = Counts::default();
        for (nth, number) in Number::ALL.into_iter().enumerate() {
            for group in GROUPS {
                let many = match number {
                    Number::Lost => 0,
                    Number::Repeated if group == "payments" => 0,
                    _ => 100 + nth as i64,
                };
                counts.set(number, group, many);
            }
        }
        let now = Instant::now();
        let seen = |nth, doing| Seen {
            nth,
            pid: Some(4_194_300),
            doing,
            since: now,
            deaths: 12,
        };
        Self {
            board: Board {
                counts,
                stall: Some(Stall {
                    pid: 4_194_301,
                    seconds: 12.3,
                    behind: 4_321,
                }),
                snapshot: Some(HeldSnapshot {
                    pid: 4_194_302,
                    seconds: 14.0,
                    dead_rows: Some(99_999),
                }),
                at: now,
                took: Duration::from_millis(87),
            },
            members: vec![
                seen(1, Doing::Working),
                seen(2, Doing::Frozen(Held::default())),
                seen(3, Doing::Dead),
            ],
            server: State::Up,
            news: (0..30)
                .map(|nth| (Duration::from_secs(90 - nth), format!("sentence {nth}")))
                .collect(),
            trouble: None,
            wanted: Wanted::default(),
            theme: Theme::Coloured,
        }
    }

    fn drawn(&self, width: u16, height: u16) -> Buffer {
        let facts = Facts {
            board: Some(&self.board),
            members: &self.members,
            server: self.server,
            failing: true,
            tried: &[],
        };
        let view = View {
            facts,
            trouble: self.trouble,
            hint: &hint(&facts),
            news: &self.news,
            wanted: self.wanted,
            psql: "psql -h /var/tmp/vulkan-pg-AbCdEf -U postgres",
            running: Duration::from_secs(125),
            theme: self.theme,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &view)).unwrap();
        terminal.backend().buffer().clone()
    }
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    cells.chunks(width).map(|row| row.concat()).collect()
}

#[test]
fn everything_fits_80_by_24() {
    let lines = lines(&Scene::new().drawn(80, 24));
    let whole = lines.join("\n");
    let expected = [
        "         produced processed in flight retrying waiting dead LOST  rerun repeated",
        "emails        100       101       102      103     104  105    0    107      108",
        "payments      100       101       102      103     104  105    0    107        0",
    ];
    for (nth, line) in expected.iter().enumerate() {
        assert_eq!(lines[nth + 1].trim_end(), *line, "\n{whole}");
    }
    for part in [
        "2:05 ",
        "worker 2 FROZEN   4194300 died 12x",
        "publisher pid 4194301 open 12 s, 4321 behind",
        "snapshot  pid 4194302 held 14 s, 99999 dead",
        "psql -h /var/tmp/vulkan-pg-AbCdEf -U postgres",
        "  1:30 sentence 0",
        "  1:27 sentence 3",
        "4321 wait behind it. h: let go",
    ] {
        assert!(whole.contains(part), "{part:?} is missing:\n{whole}");
    }
    for attack in Attack::ALL {
        let key = format!("{} {}", attack.key(), attack.label());
        assert!(whole.contains(&key), "{key:?} is missing:\n{whole}");
    }
    assert!(lines[23].contains("q quit"), "\n{whole}");
}

#[test]
fn every_number_shows_its_query_in_full() {
    let mut scene = Scene::new();
    let mut seen = Vec::new();
    for wanted in Wanted::all() {
        let sql = wanted.sql();
        assert!(sql.lines().count() <= usize::from(LINES), "{sql}");
        scene.wanted = wanted;
        let drawn = lines(&scene.drawn(80, 24));
        for line in sql.lines() {
            assert!(drawn.iter().any(|row| row.trim_end() == line), "{line}");
        }
        assert!(drawn.iter().any(|row| row.contains(wanted.title())));
        assert_eq!(wanted.next().previous(), wanted);
        seen.push(wanted.next());
    }
    assert_eq!(seen.len(), Number::ALL.len() + 2);
}

#[test]
fn a_lost_message_cannot_be_overlooked() {
    let mut scene = Scene::new();
    scene.board.counts.set(Number::Lost, "payments", 1);
    for theme in [Theme::Coloured, Theme::Plain] {
        scene.theme = theme;
        let drawn = scene.drawn(80, 24);
        let whole = lines(&drawn).join("\n");
        assert!(whole.contains("a message is lost"), "{whole}");
        let row: String = lines(&drawn)[3].clone();
        let column = row.find(" 1 ").unwrap() + 1;
        let cell = &drawn[(u16::try_from(column).unwrap(), 3)];
        assert_eq!(cell.symbol(), "1", "{row}");
        assert!(cell.modifier.contains(Modifier::REVERSED));
    }
}

#[test]
fn without_colour_there_is_none() {
    let mut scene = Scene::new();
    scene.server = State::Away(How::Immediate, Instant::now());
    scene.trouble = Some("the database system is in recovery mode\nDETAIL");
    let coloured = |drawn: &Buffer| {
        let plain = |colour| matches!(colour, Color::Reset);
        (drawn.content().iter()).any(|cell| !plain(cell.fg) || !plain(cell.bg))
    };
    assert!(coloured(&scene.drawn(80, 24)));
    scene.theme = Theme::Plain;
    let drawn = scene.drawn(80, 24);
    assert!(!coloured(&drawn));
    let whole = lines(&drawn).join("\n");
    for part in [
        "crashed, recovers",
        "old numbers: there is no Postgres to ask",
    ] {
        assert!(whole.contains(part), "{whole}");
    }
    scene.server = State::Up;
    let whole = lines(&scene.drawn(80, 24)).join("\n");
    assert!(
        whole.contains("old numbers: the database system is in recovery mode"),
        "{whole}"
    );
}

#[test]
fn more_lines_are_more_news_and_too_few_are_said() {
    let scene = Scene::new();
    let tall = lines(&scene.drawn(120, 50)).join("\n");
    assert!(tall.contains("sentence 28"), "{tall}");
    for (width, height) in [(79, 24), (80, 23), (20, 5), (1, 1)] {
        let small = lines(&scene.drawn(width, height)).join("");
        assert!(width < 20 || small.contains("needs"), "{small}");
    }
}
