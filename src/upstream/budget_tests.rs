//! Tests: a supplier that counts its hour, as the clients meet it.

use std::sync::Mutex as StdMutex;

use serde_json::json;

use super::super::stage::{Counting as Chance, Left, Reply, Set, Stage, action, settings};
use super::super::{OwnPace, Pace, Paced, Rate, Turn, Upstreams};
use super::*;
use crate::domain::{Outcome, Permit};

/// A supplier without any devices that lets `most` requests of an hour through, of which `used`
/// were made by others; its hour ends at `ends_in`.
async fn supplier(most: u32, used: u32, ends_in: u64) -> Stage {
    let used = StdMutex::new(used);
    Stage::new(move |_| {
        let mut used = used.lock().unwrap();
        *used += 1;
        let (status, body) = if *used > most {
            let body = json!({"code": 429, "description": "Your IP is rate limited."});
            (429, body.to_string())
        } else {
            (200, "[]".to_owned())
        };
        let left = most.saturating_sub(*used);
        Reply::Raw(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             x-ratelimit-limit: {most}\r\nX-RateLimit-Remaining: {left}\r\n\
             X-RateLimit-Reset:  {ends_in} \r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    })
    .await
}

/// A process with its own clients and the count that all share.
fn process(stage: &Stage, most: u32, hours: &Arc<dyn Hours>) -> Upstreams {
    let mut settings = settings(&stage.base);
    settings.hivelocity.requests_per_hour = most;
    let pace: Arc<dyn Pace> = Arc::new(OwnPace::default());
    Upstreams::counted(settings, &pace, hours).unwrap()
}

fn own() -> Arc<dyn Hours> {
    Arc::new(OwnHours::default())
}

fn look() -> Set {
    Set {
        permit: Permit::LookOnly,
        ..Set::with_client(7)
    }
}

fn held(outcome: &Outcome) -> Option<&Away> {
    match outcome {
        Outcome::Held(away) => Some(away),
        _other => None,
    }
}

async fn admit(upstreams: &Upstreams, kind: &str, now: Timestamp) -> Option<Away> {
    let action = action(kind);
    upstreams
        .admit((&action, Permit::Send), 1, now, &Chance)
        .await
}

#[tokio::test]
async fn looks_stop_at_three_quarters_while_suspensions_and_orders_go_on() {
    let stage = supplier(100, 0, 3000).await;
    let upstreams = process(&stage, 100, &own());
    let set = look();
    let mut last = None;
    for _ in 0..100 {
        let Left { outcome, .. } = set
            .perform(&upstreams, &action("hivelocity.await_device"))
            .await;
        if held(&outcome).is_some() {
            last = Some(outcome);
            break;
        }
    }
    let away = last.as_ref().and_then(held).unwrap().clone();
    assert_eq!(away.because, Because::HourKept);
    assert!(away.until > set.now.plus(Duration::from_secs(3000 + 20)));
    let before = stage.heard().len();
    assert!((70..=75).contains(&before), "{before}");
    assert!(
        admit(&upstreams, "hivelocity.await_device", set.now)
            .await
            .is_some()
    );
    assert!(
        admit(&upstreams, "hivelocity.deploy_device", set.now)
            .await
            .is_none()
    );
    assert!(
        admit(&upstreams, "hivelocity.power", set.now)
            .await
            .is_none()
    );
    let outcome = set.outcome(&upstreams, &action("hivelocity.power")).await;
    assert!(held(&outcome).is_none(), "{outcome:?}");
    assert!(stage.heard().len() > before);
}

#[tokio::test]
async fn never_more_requests_than_the_hour_has_whatever_the_process() {
    let (stage, hours) = (supplier(100, 0, 3000).await, own());
    let set = look();
    for round in 0..40 {
        // A restart every time; what it held is lost, what was sent is not forgotten.
        let upstreams = process(&stage, 100, &hours);
        let kind = ["hivelocity.power", "hivelocity.await_device"][round % 2];
        for _ in 0..3 {
            set.outcome(&upstreams, &action(kind)).await;
        }
    }
    let before = stage.heard().len();
    assert!(before <= 100, "{before}");
    let away = admit(&process(&stage, 100, &hours), "hivelocity.power", set.now).await;
    assert_eq!(away.unwrap().because, Because::HourSpent { most: 100 });
}

#[tokio::test]
async fn a_refusal_with_a_reset_stops_everybody_until_then() {
    // Others at the same address used the hour up.
    let (stage, hours) = (supplier(3600, 3601, 600).await, own());
    let (first, second) = (process(&stage, 3600, &hours), process(&stage, 3600, &hours));
    let set = look();
    let power = action("hivelocity.power");
    let left = set.perform(&first, &power).await;
    let away = held(&left.outcome).unwrap();
    assert_eq!(away.because, Because::HourSpent { most: 3600 });
    let reset = set.now.plus(Duration::from_secs(601));
    assert!(away.until >= reset && away.until < reset.plus(Duration::from_secs(10)));
    assert!(
        away.error.as_ref().unwrap().contains("rate limited"),
        "{away:?}"
    );
    for upstreams in [&first, &second] {
        let away = admit(upstreams, "hivelocity.power", set.now).await.unwrap();
        assert_eq!(away.because, Because::HourSpent { most: 3600 });
        let outcome = set.outcome(upstreams, &power).await;
        assert!(held(&outcome).is_some(), "{outcome:?}");
    }
    assert_eq!(stage.heard().len(), 1);
    // It is there, so nothing else is held up for it; and after the reset everything goes on.
    assert_eq!(
        first.standing(set.now),
        [("hivelocity", false), ("one_h", false)]
    );
    let later = reset.plus(Duration::from_secs(1));
    assert!(admit(&second, "hivelocity.power", later).await.is_none());
}

#[tokio::test]
async fn a_process_that_holds_a_portion_stops_too() {
    let (stage, hours) = (supplier(3600, 0, 600).await, own());
    let holder = process(&stage, 3600, &hours);
    let mut set = look();
    let looks = action("hivelocity.await_device");
    assert!(held(&set.outcome(&holder, &looks).await).is_none());
    // Somebody else is told that nothing is left.
    let full = supplier(3600, 3600, 600).await;
    set.outcome(&process(&full, 3600, &hours), &looks).await;
    set.now = set.now.plus(Duration::from_secs(30));
    let before = stage.heard().len();
    assert!(held(&set.outcome(&holder, &looks).await).is_some());
    assert_eq!(stage.heard().len(), before);
}

#[tokio::test]
async fn what_others_at_the_same_address_used_counts_here_too() {
    let (stage, hours) = (supplier(3600, 2000, 1800).await, own());
    let upstreams = process(&stage, 3600, &hours);
    let set = look();
    set.outcome(&upstreams, &action("hivelocity.await_device"))
        .await;
    let standings = upstreams.standings(set.now).await.unwrap();
    assert_eq!(standings.len(), 2);
    let requests = standings[0].requests().unwrap();
    assert!((2015..2030).contains(&requests.used), "{requests:?}");
    let ends = standings[0].hour.unwrap().ends_at.since(set.now).as_secs();
    assert!((1801..1810).contains(&ends), "{ends}");
    assert_eq!(standings[1].requests(), None, "1H is not counted");
}

#[tokio::test]
async fn a_limit_with_requests_left_is_one_of_the_usual_kind() {
    let stage = Stage::new(|_| {
        Reply::Raw(
            "HTTP/1.1 429 X\r\ncontent-length: 0\r\nretry-after: 60\r\nconnection: close\r\n\
             x-ratelimit-remaining: 900\r\nx-ratelimit-reset: 1800\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let upstreams = process(&stage, 3600, &own());
    let set = look();
    let outcome = set
        .outcome(&upstreams, &action("hivelocity.await_device"))
        .await;
    assert_eq!(held(&outcome).unwrap().because, Because::Asked);
    assert!(
        admit(&upstreams, "hivelocity.power", set.now)
            .await
            .is_none()
    );
}

/// Lets everything through and notes how long it would have waited.
#[derive(Default)]
struct Patience(StdMutex<Vec<Duration>>);

impl Pace for Patience {
    fn reserve<'a>(&'a self, _rate: Rate<'a>, longest: Duration) -> Paced<'a, Turn> {
        self.0.lock().unwrap().push(longest);
        Box::pin(std::future::ready(Turn::After(Duration::ZERO)))
    }

    fn hold<'a>(&'a self, _rate: Rate<'a>, _pause: Duration) -> Paced<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn what_matters_less_waits_only_shortly_for_its_turn() {
    let stage = supplier(3600, 0, 3000).await;
    for (most, kind, seconds) in [
        (3600, "hivelocity.await_device", 1),
        (3600, "hivelocity.reload_device", 1),
        (3600, "hivelocity.deploy_device", 5),
        (3600, "hivelocity.power", 10),
        (0, "hivelocity.await_device", 10),
    ] {
        // Once it has asked something, it is seen through.
        let mut settings = settings(&stage.base);
        settings.hivelocity.requests_per_hour = most;
        let patience = Arc::new(Patience::default());
        let pace: Arc<dyn Pace> = Arc::clone(&patience) as Arc<dyn Pace>;
        let upstreams = Upstreams::counted(settings, &pace, &own()).unwrap();
        look().outcome(&upstreams, &action(kind)).await;
        let waits = patience.0.lock().unwrap().clone();
        let (first, later) = waits.split_first().unwrap();
        assert_eq!(first.as_secs(), seconds, "{kind}");
        let patient = later.iter().all(|wait| wait.as_secs() == 10);
        assert!(patient, "{kind}: {waits:?}");
    }
}

#[test]
fn who_matters_more_comes_back_first() {
    let last = |rank| spread(rank, &Last);
    let first = |rank| spread(rank, &First);
    assert!(last(Rank::Urgent) <= first(Rank::Order));
    assert!(last(Rank::Order) <= first(Rank::Look));
    assert!(first(Rank::Urgent) < last(Rank::Urgent));
}

struct First;
struct Last;

impl Entropy for First {
    fn next(&self) -> u64 {
        0
    }
}

impl Entropy for Last {
    fn next(&self) -> u64 {
        u64::MAX
    }
}
