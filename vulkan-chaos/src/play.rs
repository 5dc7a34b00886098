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
use crate::args::{self, Args};
use crate::attack::Attack;
use crate::board::{Latest, keep_reading};
use crate::hints::{Facts, hint};
use crate::news::News;
use crate::panics::Panics;
use crate::say::say;
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

const MOMENT: Duration = Duration::from_secs(1);

/// Read while the server starts.
const WELCOME: &str = "\
Vulkan is a message system in Postgres. It says that what it has acknowledged is
never lost, and that a transactional group handles it exactly once. Prove it wrong.

Starting a private Postgres, a producer and three worker processes. Each order goes
to two groups, emails and payments. LOST is what you want to see rise: you have keys
to kill, crash, freeze and unplug all of it. Nothing outside of this demo is touched.
";

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let panics = Panics::watch();
    say(WELCOME);
    let (news, told) = News::new();
    let stage = tokio::select! {
        stage = Stage::set(args, news) => stage?,
        code = signals.end() => return Ok(ExitCode::from(code)),
    };
    let played = Play::new(Arc::clone(&stage), told, signals, panics, args)
        .until_the_end()
        .await;
    say("Stopping everything ...");
    stage.strike().await?;
    let (code, summary) = played?;
    if let Some(summary) = summary {
        say(format_args!("\n{summary}"));
    }
    Ok(code)
}

struct Play {
    stage: Arc<Stage>,
    told: UnboundedReceiver<String>,
    signals: Signals,
    panics: Panics,
    panics_at: Option<args::Panics>,
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
    fn new(
        stage: Arc<Stage>,
        told: UnboundedReceiver<String>,
        signals: Signals,
        panics: Panics,
        args: &Args,
    ) -> Self {
        Self {
            stage,
            told,
            signals,
            panics,
            panics_at: args.panics,
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
            broken: Vec::new(),
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
            let drawn = self.draw(&mut terminal, &latest.borrow_and_update().clone());
            if drawn.is_err() {
                return Ok(self.nobody_looks().await);
            }
            let next = tokio::select! {
                event = keys.next() => match event {
                    Some(Ok(event)) => self.on(&event),
                    _ => return Ok(self.nobody_looks().await),
                },
                () = self.panics.one() => return Err("it has panicked, and has to end".into()),
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

    /// The terminal cannot be written or read. Mostly it was closed, and the signal that says so comes in a moment.
    async fn nobody_looks(&mut self) -> Option<u8> {
        timeout(MOMENT, self.signals.end()).await.ok()
    }

    fn draw(&self, terminal: &mut Terminal, latest: &Latest) -> std::io::Result<()> {
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
            KeyCode::Char('!') if self.panics_at == Some(args::Panics::Here) => {
                panic!("on demand, here")
            }
            KeyCode::Char('!') if self.panics_at == Some(args::Panics::Beside) => {
                self.under_way.spawn(async { panic!("on demand, beside") });
            }
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
        let ends_one = match attack {
            Attack::Fail => self.stage.crew.is_failing(),
            Attack::Hold => self.stage.publisher.is_held(),
            Attack::Snapshot => self.stage.snapshot.is_held(),
            Attack::Redrive => true,
            _ => false,
        };
        self.attacks += usize::from(!ends_one);
        let stage = Arc::clone(&self.stage);
        self.under_way.spawn(async move {
            attack.play(&stage).await;
        });
    }
}
