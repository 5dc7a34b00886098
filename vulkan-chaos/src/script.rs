//! All attacks, one after the other and then at once, without a terminal. Prints lines; the exit code is the verdict.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::Result;
use crate::args::Args;
use crate::attack::Attack;
use crate::board::{Board, Latest, keep_reading};
use crate::news::News;
use crate::number::Number;
use crate::order::{EMAILS, GROUPS, PAYMENTS};
use crate::panics::Panics;
use crate::say;
use crate::signals::Signals;
use crate::stage::Stage;
use crate::summary::Summary;

/// Between two lines of numbers.
const TELL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// For all that is owed to be handled at the end.
const DRAIN: Duration = Duration::from_secs(90);
/// As of a program that dies of SIGPIPE.
const UNREAD: u8 = 141;

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let panics = Panics::watch();
    let (news, told) = News::new();
    let mut printing = tokio::spawn(print(told, began));
    news.tell("starting a private Postgres, a producer and three worker processes");
    let stage = tokio::select! {
        stage = Stage::set(args, news.clone()) => stage?,
        code = signals.end() => return Ok(ExitCode::from(code)),
    };
    // Whatever comes of it, the stage is struck.
    let played = tokio::select! {
        summary = play(&stage, args) => summary.map(Ok),
        code = signals.end() => Ok(Err(code)),
        // Nobody reads any more: what is played for nobody need not be played to its end.
        _ = &mut printing => Ok(Err(UNREAD)),
        () = panics.one() => Err("it has panicked, and has to end".into()),
    };
    stage.strike().await?;
    drop(news);
    let summary = match played? {
        Ok(summary) => summary,
        Err(code) => return Ok(ExitCode::from(code)),
    };
    printing.await?;
    let seconds = began.elapsed().as_secs_f64();
    say::say(format_args!("\n{summary} ({seconds:.0} s)"));
    say::say(format_args!(
        "\nlost is:\n{}",
        Number::Lost.sql().trim_end()
    ));
    Ok(summary.exit_code())
}

async fn print(mut told: UnboundedReceiver<String>, began: Instant) {
    while let Some(sentence) = told.recv().await {
        let line = format!("{:6.1} s  {sentence}", began.elapsed().as_secs_f64());
        if say::print(line).is_err() {
            return;
        }
    }
}

async fn play(stage: &Arc<Stage>, args: &Args) -> Result<Summary> {
    let (tell, latest) = watch::channel(Latest::default());
    // Ends with this, however this ends.
    let mut beside = JoinSet::new();
    beside.spawn(keep_reading(stage.reader()?, tell));
    beside.spawn(numbers(stage.news.clone(), latest.clone()));
    let attacks = attack(stage, args).await;
    stage
        .news
        .tell("enough: the producer stops, and what is owed is waited for");
    stage.stop_producing().await?;
    let mut drained = drain(latest.clone()).await;
    if drained {
        Attack::Redrive.play(stage).await;
        drained = drain(latest).await;
    }
    if !drained {
        stage.news.tell("what is owed was not handled in time");
    }
    beside.shutdown().await;
    // Nothing that was read on the way counts: the files say what happened.
    let board = stage.reader()?.read_anew().await?;
    let broken = sqlx::query_scalar(include_str!("sql/check.sql"));
    Ok(Summary {
        counts: board.counts,
        attacks,
        drained: true,
        broken: broken.fetch_all(stage.client.pool()).await?,
    })
}

/// The play. Returns how many attacks there were.
async fn attack(stage: &Arc<Stage>, args: &Args) -> usize {
    let pause = Duration::from_millis(if args.quick { 600 } else { 3000 });
    sleep(pause).await;
    let mut attacks = 0;
    for attack in [
        Attack::Kill,
        Attack::Crash,
        Attack::Zombie,
        Attack::Restart,
        Attack::Unplug,
    ] {
        attacks += play_one(stage, attack).await;
        sleep(pause).await;
    }
    for attack in [Attack::Fail, Attack::Hold, Attack::Snapshot] {
        attacks += for_a_while(stage, attack, pause * 2).await;
    }
    stage.news.tell("and now several at once");
    let in_turn = async {
        let mut attacks = 0;
        for attack in [Attack::Kill, Attack::Crash, Attack::Kill, Attack::Unplug] {
            attacks += play_one(stage, attack).await;
            sleep(pause / 2).await;
        }
        attacks
    };
    let (in_turn, failing, held) = tokio::join!(
        in_turn,
        for_a_while(stage, Attack::Fail, pause * 3),
        for_a_while(stage, Attack::Hold, pause),
    );
    attacks + in_turn + failing + held
}

/// One that the server's absence keeps from happening does not count.
async fn play_one(stage: &Arc<Stage>, attack: Attack) -> usize {
    usize::from(attack.play(stage).await)
}

/// Plays an attack that goes on until it is ended.
async fn for_a_while(stage: &Arc<Stage>, attack: Attack, time: Duration) -> usize {
    let grip = match attack {
        Attack::Hold => &stage.publisher,
        Attack::Snapshot => &stage.snapshot,
        _ => {
            let begun = play_one(stage, attack).await;
            sleep(time).await;
            play_one(stage, attack).await;
            return begun;
        }
    };
    let end = async {
        sleep(time).await;
        // It may have taken longer to get hold of it.
        while !grip.let_go() {
            sleep(LOOK).await;
        }
    };
    let mut playing = std::pin::pin!(play_one(stage, attack));
    tokio::select! {
        played = &mut playing => return played,
        () = end => {}
    }
    playing.await
}

/// Waits until no group owes anything.
async fn drain(mut latest: watch::Receiver<Latest>) -> bool {
    let since = Instant::now();
    let nothing_owed = latest.wait_for(|latest| match &latest.board {
        Some(board) => board.at - board.took > since && board.counts.owed() == 0,
        None => false,
    });
    matches!(timeout(DRAIN, nothing_owed).await, Ok(Ok(_)))
}

/// Tells the numbers now and then.
async fn numbers(news: News, latest: watch::Receiver<Latest>) -> Result<()> {
    let mut ticks = interval(TELL);
    loop {
        ticks.tick().await;
        let latest = latest.borrow().clone();
        match (latest.board, latest.trouble) {
            (_, Some(trouble)) => news.tell(format!("no numbers: {trouble}")),
            (Some(board), None) => news.tell(line(&board)),
            (None, None) => {}
        }
    }
}

fn line(board: &Board) -> String {
    let counts = &board.counts;
    let mut line = format!("produced {}", counts.of(Number::Produced, PAYMENTS));
    for group in GROUPS {
        line += &format!(" | {group}: {} done", counts.of(Number::Processed, group));
        let others = [
            Number::InFlight,
            Number::Retrying,
            Number::Waiting,
            Number::Dead,
        ];
        for number in others {
            line += &format!(", {} {}", counts.of(number, group), number.title());
        }
    }
    let lost = counts.sum(Number::Lost);
    line + &format!(
        " | lost {lost}, mails twice {}, payments twice {} | read in {} ms",
        counts.of(Number::Repeated, EMAILS),
        counts.of(Number::Repeated, PAYMENTS),
        board.took.as_millis(),
    )
}
