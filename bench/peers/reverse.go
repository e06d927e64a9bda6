// Go's httputil.ReverseProxy with its defaults, and a pool that is as large as the other proxies'.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	version := flag.Bool("version", false, "print the version of Go and exit")
	listen := flag.String("listen", "127.0.0.1:8080", "where to listen")
	instances := flag.String("instances", "", "addresses of the app, with commas between them")
	flag.Parse()
	if *version {
		fmt.Println("httputil.ReverseProxy of", runtime.Version())
		return
	}

	addresses := strings.Split(*instances, ",")
	var next atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = addresses[next.Add(1)%uint64(len(addresses))]
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     4 * time.Second,
			DisableCompression:  true,
		},
		FlushInterval: -1,
	}
	// Else the server wants the rest of a request's body for itself once an answer begins, and of large answers to large bodies
	// one in some dozens breaks off.
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			log.Print(err)
		}
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: *listen, Handler: both, IdleTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}
