//! What the core promises, with a Kafka that exists only in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::call::Outcome;
use super::mail::Mail;
use super::stage::{GRACE, Stage, handler, until};
use crate::kafka::{Position, PublishError};
use crate::protocol::State::{Accepted, Cancelled, Failed, Released, Running, Succeeded};

const ID: &str = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001";
const MINUTE: Duration = Duration::from_secs(60);

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test(start_paused = true)]
async fn a_job_is_accepted_run_and_committed() {
    let done = never();
    let mut stage = Stage::new(2, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    assert_eq!(stage.states(&id), [Accepted]);
    assert_eq!(stage.committed().await, Some(0));
    done.cancel();
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
    assert_eq!(stage.committed().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_in_time_and_in_order() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    let id = stage.submit("t").await;
    sleep(Duration::from_secs(35)).await;
    let events = stage.events(&id);
    assert!((4..=6).contains(&events.len()), "{} events came in 35 s", events.len());
    let sequences: Vec<i64> = events.iter().map(|each| each.sequence).collect();
    assert_eq!(sequences, (0..events.len() as i64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_job_and_not_the_worker() {
    let panics = handler(|_| async { panic!("boom") });
    let mut stage = Stage::new(1, vec![("panics", panics), ("t", handler(|_| async { Outcome::Done(None) }))]).await;
    let id = stage.submit("panics").await;
    let end = stage.events(&id).pop().unwrap().error.unwrap();
    assert_eq!((end.kind.as_str(), end.message.as_str()), ("panic", "boom"));
    let next = stage.submit("t").await;
    assert_eq!(stage.states(&next), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_published_twice_a_second_at_most_and_the_last_one_always() {
    let reporting = handler(|call| async move {
        for step in 1..=100 {
            call.reports.change(|report| report.message = Some(format!("step {step}")));
            sleep(Duration::from_millis(10)).await;
        }
        Outcome::Done(None)
    });
    let mut stage = Stage::new(1, vec![("t", reporting)]).await;
    let id = stage.submit("t").await;
    sleep(Duration::from_secs(2)).await;
    let events = stage.events(&id);
    assert!(events.len() <= 6, "{} events", events.len());
    assert_eq!(events[events.len() - 2].message.as_deref(), Some("step 100"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_published_twice_is_run_once() {
    let done = never();
    let mut stage = Stage::new(2, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.publish(&id, "t", "").await;
    done.cancel();
    stage.settle().await;
    stage.publish(&id, "t", "").await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
    assert_eq!(stage.committed().await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_is_committed_without_an_event() {
    let mut stage = Stage::new(2, vec![("t", until(&never()))]).await;
    stage.tell("6f1c2f0a-8d4e-4b57-9a53-000000000000", Succeeded, 1);
    let id = stage.submit("t").await;
    assert_eq!(stage.states(&id), []);
    assert_eq!(stage.committed().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_queued_job_at_once_and_stops_a_running_one() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    let running = stage.submit("t").await;
    let queued = stage.submit("t").await;
    stage.cancel(&queued, "cleared by alice").await;
    assert_eq!(stage.states(&queued), [Cancelled]);
    assert_eq!(stage.events(&queued)[0].message.as_deref(), Some("cleared by alice"));
    stage.cancel(&running, "too").await;
    assert_eq!(stage.states(&running), [Accepted, Cancelled]);
    assert_eq!(stage.committed().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_say_that_a_job_was_asked_to_stop_and_still_runs() {
    let stubborn = handler(|_| async {
        sleep(MINUTE).await;
        Outcome::Done(None)
    });
    let mut stage = Stage::new(1, vec![("t", stubborn)]).await;
    let id = stage.submit("t").await;
    stage.cancel(&id, "enough").await;
    sleep(MINUTE).await;
    let events = stage.events(&id);
    let beat = events.iter().find(|each| each.state == Running).unwrap();
    assert_eq!(beat.message.as_deref(), Some("Asked to stop, still runs: the job was cancelled: enough"));
    let end = events.last().unwrap();
    assert_eq!((end.state, end.attributes["stop_requested"].as_str()), (Succeeded, "cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_stops_a_job() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    let deadline = stage.now_ms() + 5_000;
    stage.publish(ID, "t", &format!(r#", "deadline": {deadline}"#)).await;
    assert_eq!(stage.states(ID), [Accepted]);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.states(ID), [Accepted, Failed]);
}

#[tokio::test(start_paused = true)]
async fn interrupted_jobs_start_first_and_have_heartbeats_until_then() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let busy = stage.submit("t").await;
    let queued = stage.submit("t").await;
    stage.tell(ID, Accepted, 3);
    stage.mail.send(Mail::Assigned(vec![1])); // so that the ledger is read again
    stage.mail.send(Mail::CaughtUp(1));
    stage.partition = 1;
    stage.publish(ID, "t", "").await;
    let first = &stage.events(ID)[0];
    assert_eq!((first.state, first.delivery, first.sequence), (Running, 3, 8));
    done.cancel();
    stage.settle().await;
    for id in [&busy, &queued, ID] {
        assert_eq!(stage.states(id), [Accepted, Succeeded], "{id}");
    }
    assert_eq!(stage.events(ID)[1].delivery, 4);
    assert!(stage.index_of(ID, Accepted) < stage.index_of(&queued, Accepted));
}

#[tokio::test(start_paused = true)]
async fn new_jobs_wait_for_the_backlog_of_an_assignment() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    stage.mail.send(Mail::Assigned(vec![1]));
    let id = stage.submit("t").await;
    assert_eq!(stage.states(&id), []);
    stage.mail.send(Mail::CaughtUp(1));
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_in_doubt_publishes_nothing_until_the_group_accepts_a_commit() {
    let done = never();
    let mut stage = Stage::new(2, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    (stage.kafka().is_no_member, stage.kafka().refuses) = (true, true);
    let later = stage.submit("t").await;
    done.cancel();
    sleep(MINUTE).await;
    assert_eq!((stage.states(&id), stage.states(&later)), (vec![Accepted], vec![]));
    assert_eq!(stage.committed().await, Some(0));
    stage.kafka().refuses = false; // and so the group confirms the membership
    sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
    assert_eq!(stage.states(&later), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_accepted_in_doubt_starts_later() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let counting = handler(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Outcome::Done(None) }
    });
    let mut stage = Stage::new(1, vec![("t", counting)]).await;
    // Frozen when ACCEPTED was acknowledged.
    stage.kafka().refuses = true;
    stage.kafka().on_publish = Some(Box::new(|kafka| kafka.is_no_member = true));
    let id = stage.submit("t").await;
    assert_eq!((stage.states(&id), calls.load(Ordering::SeqCst)), (vec![Accepted], 0));
    stage.kafka().is_no_member = false;
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_partition_is_lost_is_silent() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.mail.send(Mail::Lost(vec![0]));
    stage.settle().await;
    done.cancel();
    sleep(MINUTE).await;
    assert_eq!(stage.states(&id), [Accepted]);
    stage.mail.send(Mail::Assigned(vec![])); // the partition does not come back
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted]);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_partition_comes_back_continues() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.tell(&id, Accepted, 1);
    stage.mail.send(Mail::Lost(vec![0]));
    stage.mail.send(Mail::Assigned(vec![0]));
    stage.offset = 0;
    stage.publish(&id, "t", "").await;
    stage.mail.send(Mail::CaughtUp(0));
    stage.settle().await;
    done.cancel();
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
    assert_eq!(stage.committed().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_others_have_started_meanwhile_is_abandoned() {
    let mut stage = Stage::new(2, vec![("t", until(&never()))]).await;
    let id = stage.submit("t").await;
    stage.tell(&id, Accepted, 2);
    stage.mail.send(Mail::Lost(vec![0]));
    stage.mail.send(Mail::Assigned(vec![0]));
    stage.offset = 0;
    stage.publish(&id, "t", "").await;
    stage.mail.send(Mail::CaughtUp(0));
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted, Accepted]);
    assert_eq!(stage.events(&id).last().unwrap().delivery, 3);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_request_does_not_come_again_is_abandoned() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.mail.send(Mail::Lost(vec![0]));
    stage.assign().await;
    let next = stage.submit("t").await;
    done.cancel();
    stage.settle().await;
    assert_eq!(stage.states(&id), [Accepted]);
    assert_eq!(stage.states(&next), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_is_released_at_shutdown() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    let running = stage.submit("t").await;
    let queued = stage.submit("t").await;
    assert_eq!(stage.end().await, Position::from([(0, 0)]));
    assert_eq!(stage.states(&running), [Accepted, Released]);
    assert_eq!(stage.states(&queued), []);
}

#[tokio::test(start_paused = true)]
async fn a_job_may_end_within_the_grace_period() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.ask_to_stop();
    sleep(GRACE / 2).await;
    done.cancel();
    assert_eq!(stage.end().await, Position::from([(0, 1)]));
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_partition_is_given_back_and_its_jobs_are_silent() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    let id = stage.submit("t").await;
    assert_eq!(stage.revoke().await, Position::from([(0, 0)]));
    sleep(MINUTE).await;
    assert_eq!(stage.states(&id), [Accepted, Released]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_answered_becomes_a_dead_letter() {
    let mut stage = Stage::new(1, vec![("t", until(&never()))]).await;
    stage.kafka().fail_with = Some(PublishError::Unusable("unknown topic".into()));
    let id = stage.submit("t").await;
    assert_eq!(stage.states(&id), []);
    assert_eq!(stage.committed().await, Some(1));
    assert_eq!(stage.letters(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_must_arrive_is_sent_again_with_the_same_id() {
    let mut stage = Stage::new(1, vec![("t", handler(|_| async { Outcome::Done(None) }))]).await;
    stage.kafka().fail_with = Some(PublishError::Temporary("no broker".into()));
    let id = stage.submit("t").await;
    sleep(MINUTE).await;
    stage.kafka().fail_with = None;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
    assert_eq!(stage.events(&id)[0].sequence, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_was_withdrawn_is_waited_for() {
    let done = never();
    let mut stage = Stage::new(1, vec![("t", until(&done))]).await;
    let id = stage.submit("t").await;
    stage.kafka().fail_with = Some(PublishError::Denied("by alice".into()));
    done.cancel();
    sleep(MINUTE).await;
    assert_eq!((stage.states(&id), stage.letters()), (vec![Accepted], 0));
    stage.kafka().fail_with = None;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.states(&id), [Accepted, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_found_and_repeated_in_all_events_but_the_last() {
    let done = never();
    let saving = done.clone();
    let handler = handler(move |call| {
        let done = saving.clone();
        async move {
            assert_eq!(call.checkpoint.lock().unwrap().as_deref(), Some("1"));
            done.cancelled().await;
            call.reports.change(|report| report.checkpoint = Some("2".into()));
            sleep(MINUTE).await;
            Outcome::Done(None)
        }
    });
    let mut stage = Stage::new(1, vec![("t", handler)]).await;
    stage.tell_with("6f1c2f0a-8d4e-4b57-9a53-000000000000", Running, 2, &[("checkpoint", "1")]);
    stage.tell("6f1c2f0a-8d4e-4b57-9a53-000000000000", Accepted, 3);
    let id = stage.submit("t").await;
    done.cancel();
    sleep(2 * MINUTE).await;
    let checkpoints = |state| -> Vec<Option<String>> {
        let events = stage.events(&id).into_iter().filter(move |each| each.state == state);
        events.map(|mut each| each.attributes.remove("checkpoint")).collect()
    };
    assert_eq!(checkpoints(Accepted), [Some("1".to_owned())]);
    assert!(checkpoints(Running).iter().all(|each| each.as_deref() == Some("2")));
    assert_eq!(checkpoints(Succeeded), [None]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_request_becomes_a_dead_letter_and_its_task_is_told() {
    let mut stage = Stage::new(1, vec![]).await;
    stage.deliver(ID, Some(b"garbage")).await;
    assert_eq!(stage.states(ID), [Failed]);
    assert_eq!(stage.events(ID)[0].error.as_ref().unwrap().kind, "unreadable");
    assert_eq!((stage.committed().await, stage.letters()), (Some(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_ignored() {
    let mut stage = Stage::new(1, vec![]).await;
    stage.deliver(ID, None).await;
    assert_eq!(stage.states(ID), []);
    assert_eq!(stage.committed().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_job_type_has_its_own_concurrency() {
    let mut narrow = until(&never());
    narrow.concurrency = Some(1);
    let mut stage = Stage::new(3, vec![("narrow", narrow), ("wide", until(&never()))]).await;
    let one = stage.submit("narrow").await;
    let two = stage.submit("narrow").await;
    let other = stage.submit("wide").await;
    assert_eq!(
        (stage.states(&one), stage.states(&two), stage.states(&other)),
        (vec![Accepted], vec![], vec![Accepted])
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_written_fails_the_job() {
    for (result, error, kind) in [
        (&b"{}"[..], Some(PublishError::TooLarge("by the broker".into())), "result_too_large"),
        (br#"{"half":"#, None, "invalid_result"),
    ] {
        let returning =
            handler(move |_| async move { Outcome::Done(Some((result.to_vec(), "application/json".into()))) });
        let mut stage = Stage::new(1, vec![("t", returning)]).await;
        // Only the terminal event is too large, once.
        stage.kafka().on_publish = Some(Box::new(move |kafka| kafka.fail_once(error.clone())));
        let id = stage.submit("t").await;
        assert_eq!(stage.states(&id), [Accepted, Failed]);
        assert_eq!(stage.events(&id)[1].error.as_ref().unwrap().kind, kind);
    }
}
