// Sends a mail as it stands in a file, with net/smtp. All it needs comes by environment.
// net/smtp uses STARTTLS wherever it is offered; SSL_CERT_FILE names who is trusted.
package main

import (
	"log"
	"net/smtp"
	"os"
	"strings"
)

func main() {
	mail, err := os.ReadFile(os.Getenv("MAIL"))
	if err != nil {
		log.Fatal(err)
	}
	var auth smtp.Auth
	if user := os.Getenv("USER_NAME"); user != "" {
		auth = smtp.PlainAuth("", user, os.Getenv("PASSWORD"), "localhost")
	}
	recipients := strings.Split(os.Getenv("RECIPIENTS"), ",")
	address := "localhost:" + os.Getenv("PORT")
	if err := smtp.SendMail(address, auth, os.Getenv("SENDER"), recipients, mail); err != nil {
		log.Fatal(err)
	}
}
