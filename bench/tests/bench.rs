//! The lab and its sample app from outside: real processes, real sockets, the wire as a Meteor client sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod lab {
    mod slowdowns;
}

mod sample {
    mod ddp;
    mod ddp_client;
    mod http;
    mod http_client;
    mod process;
    mod shared_list;
    mod sockjs;
    mod sockjs_polling;
    mod stop;
}
