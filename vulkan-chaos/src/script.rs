//! All attacks, one after the other and then at once, without a terminal. Prints lines; the exit code is the verdict.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

use crate::Result;
use crate::args::Args;
use crate::attack::Attack;
use crate::board::{Latest, keep_reading};
use crate::news::News;
use crate::number::{Counts, Number};
use crate::order::{EMAILS, GROUPS, PAYMENTS};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::summary::Summary;

/// Between two lines of numbers.
const TELL: Duration = Duration::from_secs(5);
/// For all that is owed to be handled at the end.
const DRAIN: Duration = Duration::from_secs(90);

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let (news, told) = News::new();
    let printing = tokio::spawn(print(told, began));
    news.tell("starting a private Postgres, a producer and three worker processes");
    let stage = tokio::select! {
        stage = Stage::set(args, news.clone()) => stage?,
        code = signals.end() => return Ok(ExitCode::from(code)),
    };
    // Whatever comes of it, the stage is struck.
    let played = tokio::select! {
        summary = play(&stage, args) => summary,
        code = signals.end() => {
            stage.strike().await?;
            return Ok(ExitCode::from(code));
        }
    };
    stage.strike().await?;
    drop(news);
    printing.await?;
    let summary = played?;
    println!("\n{summary} ({:.0} s)", began.elapsed().as_secs_f64());
    println!("\nlost is:\n{}", Number::Lost.sql().trim_end());
    Ok(summary.exit_code())
}

async fn print(mut told: UnboundedReceiver<String>, began: Instant) {
    while let Some(sentence) = told.recv().await {
        println!("{:6.1} s  {sentence}", began.elapsed().as_secs_f64());
    }
}

async fn play(stage: &Arc<Stage>, args: &Args) -> Result<Summary> {
    let (tell, latest) = watch::channel(Latest::default());
    let reading = tokio::spawn(keep_reading(stage.reader()?, tell));
    let telling = tokio::spawn(numbers(stage.news.clone(), latest.clone()));
    let attacks = attack(stage, args).await?;
    stage
        .news
        .tell("enough: the producer stops, and what is owed is waited for");
    stage.stop_producing().await?;
    let mut drained = drain(latest.clone()).await;
    if drained {
        Attack::Redrive.play(stage).await?;
        sleep(Duration::from_secs(1)).await;
        drained = drain(latest).await;
    }
    if !drained {
        stage.news.tell("what is owed was not handled in time");
    }
    telling.abort();
    reading.abort();
    let _ = reading.await;
    // Nothing that was read on the way counts: the files say what happened.
    let board = stage.reader()?.read_anew().await?;
    Ok(Summary {
        counts: board.counts,
        attacks,
        drained: true,
    })
}

/// The play. Returns how many attacks there were.
async fn attack(stage: &Arc<Stage>, args: &Args) -> Result<usize> {
    let pause = Duration::from_secs(if args.quick { 1 } else { 3 });
    sleep(pause).await;
    let mut attacks = 0;
    for attack in [
        Attack::Kill,
        Attack::Crash,
        Attack::Zombie,
        Attack::Restart,
        Attack::Unplug,
    ] {
        attack.play(stage).await?;
        attacks += 1;
        sleep(pause).await;
    }
    // Each of these is ended by the same as it is begun.
    for attack in [Attack::Fail, Attack::Hold, Attack::Snapshot] {
        for_a_while(stage, attack, pause * 2).await?;
        attacks += 1;
    }
    stage.news.tell("and now several at once");
    Attack::Fail.play(stage).await?;
    let together = async {
        for attack in [Attack::Kill, Attack::Crash, Attack::Kill] {
            attack.play(stage).await?;
            sleep(pause / 2).await;
        }
        Attack::Unplug.play(stage).await
    };
    let holding = for_a_while(stage, Attack::Snapshot, pause * 2);
    let frozen = async {
        match args.quick {
            true => Ok(()),
            false => Attack::Zombie.play(stage).await,
        }
    };
    let (together, holding, frozen) = tokio::join!(together, holding, frozen);
    // The zombie may be killed by the others, and its story be cut short.
    together.and(holding)?;
    if let Err(error) = frozen {
        stage.news.tell(error);
    }
    Attack::Fail.play(stage).await?;
    Ok(attacks + 6 + usize::from(!args.quick))
}

/// Plays an attack that goes on until it is played again.
async fn for_a_while(stage: &Arc<Stage>, attack: Attack, time: Duration) -> Result<()> {
    let end = async {
        sleep(time).await;
        attack.play(stage).await
    };
    let (begun, ended) = tokio::join!(attack.play(stage), end);
    begun.and(ended)
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
async fn numbers(news: News, latest: watch::Receiver<Latest>) {
    let mut ticks = interval(TELL);
    loop {
        ticks.tick().await;
        let latest = latest.borrow().clone();
        match (latest.board, latest.trouble) {
            (_, Some(trouble)) => news.tell(format!("no numbers: {trouble}")),
            (Some(board), None) => news.tell(line(&board.counts)),
            (None, None) => {}
        }
    }
}

fn line(counts: &Counts) -> String {
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
        " | lost {lost}, mails twice {}, payments twice {}",
        counts.of(Number::Repeated, EMAILS),
        counts.of(Number::Repeated, PAYMENTS),
    )
}
