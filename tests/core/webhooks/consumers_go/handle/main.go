// Answers webhooks on a port of its own, which it says first, with the published handler for Go.
package main

import (
	"io"
	"net"
	"net/http"
	"os"

	. "consumers/webhook"
)

func handler(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	if !VerifyMeetbotWebhook(raw, r.Header.Get("X-Meetbot-Signature"), os.Getenv("MEETBOT_WEBHOOK_SECRET")) {
		http.Error(w, "invalid signature", http.StatusUnauthorized)
		return
	}
	// parse + handle
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(listener.Addr().String() + "\n")
	panic(http.Serve(listener, http.HandlerFunc(handler)))
}
