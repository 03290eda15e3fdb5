//! The HTTP API: every route on one screen, one file per resource. Who may ask for what has been
//! decided by the gate before a request comes here.

mod actions;
mod agents;
mod body;
mod leases;
mod live;
mod page;
mod portal;
mod query;
mod server;
mod snapshots;

use std::convert::Infallible;
use std::sync::Arc;

use warp::body::bytes;
use warp::filters::BoxedFilter;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection, delete, get, post, put};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Answer, Refusal};

/// What a handler answers.
type Answered = Answer<Response>;
type Route = BoxedFilter<(Answered,)>;

/// All routes; whatever matches none of them is answered with a problem.
#[rustfmt::skip]
pub(crate) fn routes(state: &Arc<App>) -> BoxedFilter<(Response,)> {
    macro_rules! path {
        ($($piece:tt)*) => { warp::path!("api" / "v1" / $($piece)*) };
    }
    let app = || with(state);
    let caller = warp::ext::get::<Caller>;
    let api: [Route; 23] = [
        path!("server").and(get()).and(app()).then(server::info).boxed(),
        path!("server" / "stop").and(post()).and(app()).then(server::stop).boxed(),
        path!("agents").and(post()).and(app()).and(caller()).and(bytes()).then(agents::register).boxed(),
        path!("agents").and(get()).and(app()).and(warp::query()).then(agents::list).boxed(),
        path!("agents" / String / "wanted").and(get()).and(app()).and(warp::query()).then(agents::wanted).boxed(),
        path!("agents" / String / "batches").and(post()).and(app()).and(bytes()).then(agents::batch).boxed(),
        path!("agents" / String / "detach").and(post()).and(app()).then(agents::detach).boxed(),
        path!("actions").and(post()).and(app()).and(caller()).and(bytes()).then(actions::create).boxed(),
        path!("actions").and(get()).and(app()).and(warp::query()).then(actions::list).boxed(),
        path!("actions" / String).and(get()).and(app()).then(actions::one).boxed(),
        path!("actions" / String).and(delete()).and(app()).then(actions::remove).boxed(),
        path!("actions" / String).and(put()).and(app()).and(bytes()).then(actions::edit).boxed(),
        path!("actions" / String / "retake").and(post()).and(app()).then(actions::retake).boxed(),
        path!("actions" / String / "enable").and(post()).and(app()).then(actions::enable).boxed(),
        path!("actions" / String / "disable").and(post()).and(app()).then(actions::disable).boxed(),
        path!("actions" / String / "duplicate").and(post()).and(app()).and(caller()).and(bytes()).then(actions::duplicate).boxed(),
        path!("actions" / "stop").and(post()).and(app()).then(actions::stop).boxed(),
        path!("live").and(get()).and(app()).and(warp::query()).then(live::stream).boxed(),
        path!("leases" / String).and(delete()).and(app()).then(leases::release).boxed(),
        path!("snapshots" / String).and(get()).and(app()).then(snapshots::one).boxed(),
        path!("query").and(post()).and(app()).and(bytes()).then(query::run).boxed(),
        path!("portal" / "codes").and(post()).and(app()).then(portal::new_code).boxed(),
        path!("portal" / "session").and(post()).and(app()).and(bytes()).then(portal::enter).boxed(),
    ];
    api.into_iter()
        .chain(page::files())
        .reduce(|all, route| all.or(route).unify().boxed())
        .expect("there are routes")
        .map(|answer: Answered| answer.unwrap_or_else(Reply::into_response))
        .recover(refuse)
        .unify()
        .boxed()
}

fn with(app: &Arc<App>) -> impl Filter<Extract = (Arc<App>,), Error = Infallible> + Clone + use<> {
    let app = app.clone();
    warp::any().map(move || app.clone())
}

/// What warp itself refuses, as a problem.
async fn refuse(rejection: Rejection) -> Result<Response, Infallible> {
    let refusal = if rejection.is_not_found() {
        Refusal::not_found("no such path").suggest("the paths of the API begin with /api/v1")
    // Asked for first: the same path with another method adds the other rejection.
    } else if rejection.find::<warp::reject::InvalidQuery>().is_some() {
        Refusal::bad_request("the query string cannot be read")
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        Refusal::new("method_not_allowed", "the path does not have this method")
    } else {
        Refusal::bad_request("the request cannot be read").detail(format!("{rejection:?}"))
    };
    Ok(refusal.into_response())
}
