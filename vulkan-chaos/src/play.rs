//! The demo in the terminal: draws what is, and does what the keys say.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::Result;
use crate::args::Args;
use crate::attack::Attack;
use crate::board::{Latest, keep_reading};
use crate::hints::{Facts, hint};
use crate::news::News;
use crate::screen::{Theme, View, Wanted, draw};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::summary::Summary;
use crate::terminal::Terminal;

const TICK: Duration = Duration::from_millis(200);
/// More than any screen shows.
const NEWS: usize = 200;
/// For a last look at the numbers.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    println!("Starting a private Postgres, a producer and three worker processes ...");
    let (news, told) = News::new();
    let stage = tokio::select! {
        stage = Stage::set(args, news) => stage?,
        code = signals.end() => return Ok(ExitCode::from(code)),
    };
    let played = Play::new(Arc::clone(&stage), told, signals)
        .until_the_end()
        .await;
    println!("Stopping everything ...");
    stage.strike().await?;
    let (code, summary) = played?;
    if let Some(summary) = summary {
        println!("\n{summary}");
    }
    Ok(code)
}

struct Play {
    stage: Arc<Stage>,
    told: UnboundedReceiver<String>,
    signals: Signals,
    began: Instant,
    news: VecDeque<(Duration, String)>,
    tried: Vec<Attack>,
    attacks: usize,
    under_way: JoinSet<()>,
    wanted: Wanted,
    theme: Theme,
}

/// What to do after something has happened.
enum Next {
    GoOn,
    Suspend,
    Quit,
}

impl Play {
    fn new(stage: Arc<Stage>, told: UnboundedReceiver<String>, signals: Signals) -> Self {
        Self {
            stage,
            told,
            signals,
            began: Instant::now(),
            news: VecDeque::new(),
            tried: Vec::new(),
            attacks: 0,
            under_way: JoinSet::new(),
            wanted: Wanted::default(),
            theme: Theme::of_environment(),
        }
    }

    async fn until_the_end(mut self) -> Result<(ExitCode, Option<Summary>)> {
        let (tell, latest) = watch::channel(Latest::default());
        let mut reading = tokio::spawn(keep_reading(self.stage.reader()?, tell));
        let ended = tokio::select! {
            ended = self.go_on(latest.clone()) => ended,
            ended = &mut reading => Err(format!("the scoreboard has ended: {ended:?}").into()),
        };
        reading.abort();
        self.under_way.shutdown().await;
        let code = ended?;
        // Newer than what the screen has shown, if the server is there.
        let last = match timeout(GOODBYE, self.stage.reader()?.read()).await {
            Ok(Ok(board)) => Some(board),
            _ => latest.borrow().board.clone(),
        };
        let summary = last.map(|board| Summary {
            counts: board.counts,
            attacks: self.attacks,
            drained: false,
        });
        let verdict = summary.as_ref().map(Summary::exit_code);
        let code = code.map_or(verdict.unwrap_or(ExitCode::SUCCESS), ExitCode::from);
        Ok((code, summary))
    }

    /// Draws and obeys until somebody quits: `None`, or the exit code for a signal.
    async fn go_on(&mut self, mut latest: watch::Receiver<Latest>) -> Result<Option<u8>> {
        let mut terminal = Terminal::take()?;
        let mut keys = EventStream::new();
        let mut ticks = interval(TICK);
        loop {
            self.draw(&mut terminal, &latest.borrow_and_update().clone())?;
            let next = tokio::select! {
                event = keys.next() => match event {
                    Some(event) => self.on(&event?),
                    // The terminal is gone.
                    None => Next::Quit,
                },
                signal = self.signals.next() => match signal {
                    Some(code) => return Ok(Some(code)),
                    None => {
                        terminal.resume()?;
                        Next::GoOn
                    }
                },
                Some(sentence) = self.told.recv() => {
                    self.news.push_front((self.began.elapsed(), sentence));
                    self.news.truncate(NEWS);
                    Next::GoOn
                }
                _ = latest.changed() => Next::GoOn,
                _ = ticks.tick() => Next::GoOn,
            };
            match next {
                Next::GoOn => {}
                Next::Suspend => terminal.suspend()?,
                Next::Quit => return Ok(None),
            }
        }
    }

    fn draw(&self, terminal: &mut Terminal, latest: &Latest) -> Result<()> {
        let members = self.stage.crew.seen();
        let facts = Facts {
            board: latest.board.as_ref(),
            members: &members,
            server: self.stage.server.state(),
            failing: self.stage.crew.is_failing(),
            tried: &self.tried,
        };
        let psql = format!(
            "psql -h {} -U postgres",
            self.stage.server.directory().display()
        );
        let view = View {
            facts,
            trouble: latest.trouble.as_deref(),
            hint: &hint(&facts),
            news: &self.news,
            wanted: self.wanted,
            psql: &psql,
            running: self.began.elapsed(),
            theme: self.theme,
        };
        terminal.0.draw(|frame| draw(frame, &view))?;
        Ok(())
    }

    fn on(&mut self, event: &Event) -> Next {
        let Event::Key(KeyEvent {
            code,
            modifiers,
            kind: KeyEventKind::Press,
            ..
        }) = event
        else {
            return Next::GoOn;
        };
        let with_control = modifiers.contains(KeyModifiers::CONTROL);
        match code {
            KeyCode::Char('c') if with_control => return Next::Quit,
            KeyCode::Char('z') if with_control => return Next::Suspend,
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Right | KeyCode::Tab => self.wanted = self.wanted.next(),
            KeyCode::Left | KeyCode::BackTab => self.wanted = self.wanted.previous(),
            KeyCode::Char(key) if !with_control => self.attack(*key),
            _ => {}
        }
        Next::GoOn
    }

    fn attack(&mut self, key: char) {
        let Some(attack) = Attack::ALL.into_iter().find(|attack| attack.key() == key) else {
            return;
        };
        if !self.tried.contains(&attack) {
            self.tried.push(attack);
        }
        self.attacks += usize::from(attack != Attack::Redrive);
        let stage = Arc::clone(&self.stage);
        self.under_way.spawn(async move {
            if let Err(error) = attack.play(&stage).await {
                stage.news.tell(format!("{}: {error}", attack.label()));
            }
        });
    }
}
