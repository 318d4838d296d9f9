// Sign-in with dirmfa in Go, standard library alone. Run after the password was checked.
//
//	DIRMFA_URL=https://mfa.example.org DIRMFA_TOKEN_FILE=/etc/myapp/dirmfa-token go run sign_in.go USERNAME
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = http.Client{
	Timeout: 16 * time.Second, // dirmfa answers within 15
	// A redirect is not an answer of dirmfa, and would carry the token elsewhere.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call reads into answer what dirmfa answered with exactly 200; everything else is an error.
func call(path string, body map[string]string, answer any) error {
	token, err := os.ReadFile(os.Getenv("DIRMFA_TOKEN_FILE"))
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest("POST", os.Getenv("DIRMFA_URL")+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("dirmfa answered %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// maySignIn is true only when dirmfa asks nothing of the user, or accepts a code.
func maySignIn(username string, askForCode func() string) (bool, error) {
	var asked struct {
		Decision   string
		Enrollment *struct{ MayDefer bool }
	}
	if err := call("/v1/sign-in", map[string]string{"username": username}, &asked); err != nil {
		return false, err
	}
	switch asked.Decision {
	case "allow":
		return true, nil
	case "enroll":
		// A real login page enrolls here, and offers "later" while MayDefer is true.
		return asked.Enrollment != nil && asked.Enrollment.MayDefer, nil
	case "challenge":
		code := askForCode()
		field := "backupCode"
		if strings.Trim(code, "0123456789 ") == "" {
			field = "totp"
		}
		var answer struct{ Verified bool }
		err := call("/v1/verify", map[string]string{"username": username, field: code}, &answer)
		return err == nil && answer.Verified, err
	default:
		return false, nil
	}
}

func main() {
	ok, err := maySignIn(os.Args[1], func() string {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		return strings.TrimSpace(line)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "dirmfa:", err)
	}
	if !ok {
		fmt.Println("refused")
		os.Exit(1)
	}
	fmt.Println("signed in")
}
