// Says whether the body on its input was signed so: `verify SIGNATURE SECRET`.
package main

import (
	"io"
	"os"

	"consumers/webhook"
)

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Exit(2)
	}
	if webhook.VerifyMeetbotWebhook(raw, os.Args[1], os.Args[2]) {
		_, _ = os.Stdout.WriteString("true")
	} else {
		_, _ = os.Stdout.WriteString("false")
	}
}
