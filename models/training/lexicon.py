"""Words that the made-up questions are made of. Written by hand for this purpose."""

from __future__ import annotations


def _lines(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _rows(text: str) -> list[list[str]]:
    return [[word.strip() for word in line.split("/")] for line in _lines(text)]


CONCEPTS = _lines("""
machine learning, deep learning, overfitting, gradient descent, a neural network
reinforcement learning, tokenization, a transformer model, prompt engineering, fine-tuning
vector search, semantic caching, retrieval-augmented generation, a large language model
a hash table, a linked list, a binary tree, recursion, dynamic programming, a closure, a mutex
a deadlock, a race condition, garbage collection, a pointer, a compiler, an interpreter
polymorphism, inheritance, encapsulation, dependency injection, a design pattern
continuous integration, continuous delivery, a container, a virtual machine, Kubernetes, Docker
Terraform, Git, a pull request, a merge conflict, a foreign key, a primary key, an index
normalization, a transaction, sharding, replication, eventual consistency, the CAP theorem
a load balancer, a reverse proxy, a firewall, DNS, TCP, UDP, HTTP, HTTPS, TLS, OAuth, a JWT
a cookie, CORS, SQL injection, phishing, two-factor authentication, encryption, a public key
a digital signature, a blockchain, Bitcoin, Ethereum, a smart contract, inflation, deflation, GDP
a recession, monetary policy, fiscal policy, interest, compound interest, a mortgage
a credit score, a bond, a stock, an ETF, a mutual fund, a hedge fund, an option, a derivative
a dividend, a Roth IRA, a traditional IRA, a 401k, a call option, a put option, a limit order
a market order, short selling, diversification, liquidity, leverage, insider trading
a balance sheet, an income statement, cash flow, depreciation, photosynthesis, mitosis, meiosis
DNA, RNA, a protein, an enzyme, osmosis, diffusion, evolution, natural selection, an ecosystem
a food chain, the greenhouse effect, global warming, a black hole, a neutron star, dark matter
dark energy, a supernova, gravity, special relativity, general relativity, quantum mechanics
entanglement, superposition, entropy, enthalpy, thermodynamics, electromagnetism, a semiconductor
a transistor, a capacitor, an inductor, voltage, current, resistance, an acid, a base, a catalyst
oxidation, reduction, an isotope, an ion, diabetes, type 1 diabetes, type 2 diabetes, hypertension
hypotension, asthma, anemia, arthritis, a migraine, a stroke, a heart attack, pneumonia
bronchitis, influenza, a vaccine, an antibiotic, insulin, cholesterol, cognitive dissonance
confirmation bias, the placebo effect, classical conditioning, operant conditioning, stoicism
existentialism, utilitarianism, nihilism, democracy, fascism, socialism, capitalism, communism
federalism, the electoral college, gerrymandering, habeas corpus, a patent, a trademark
a copyright, a tort, a contract, a warranty, arbitration, mediation, agile development, scrum
kanban, a sprint, a user story, technical debt, test-driven development, a unit test
an integration test, a regression test, a feature flag, a canary release, an API, a REST API
GraphQL, gRPC, a webhook, a message queue, an event loop, a coroutine, a thread, a process
a microservice, a monolith, serverless computing, edge computing, a data lake, a data warehouse
ETL, a p-value, a confidence interval, standard deviation, variance, correlation, causation
linear regression, logistic regression, a random forest, a decision tree, k-means clustering
a confusion matrix, precision, recall, cross-validation, regularization, batch normalization
backpropagation, an activation function
""")

PEOPLE = _lines("""
Alice, Bob, Carol, David, Emma, Frank, Grace, Henry, Isla, Jack, Karen, Liam, Maria, Nathan
Olivia, Peter, Quentin, Rachel, Samuel, Tina, Umar, Victor, Wendy, Xavier, Yusuf, Zoe, Ravi, Priya
Chen, Mei, Ahmed, Fatima, Ivan, Olga
""")
SURNAMES = _lines("""
Smith, Johnson, Brown, Garcia, Miller, Davis, Wilson, Anderson, Taylor, Thomas, Moore, Martin, Lee
Walker, Hall, Young, King, Wright, Scott, Green, Baker, Adams, Nelson, Hill, Campbell, Mitchell
Roberts, Carter, Phillips, Evans
""")
FAMOUS = _lines("""
Albert Einstein, Isaac Newton, Marie Curie, Charles Darwin, Nikola Tesla, Thomas Edison
Ada Lovelace, Alan Turing, Leonardo da Vinci, Michelangelo, William Shakespeare, Jane Austen
Charles Dickens, Mark Twain, Leo Tolstoy, Mozart, Beethoven, Bach, Chopin, Napoleon, Julius Caesar
Cleopatra, Abraham Lincoln, George Washington, Winston Churchill, Mahatma Gandhi, Nelson Mandela
Barack Obama, Donald Trump, Hillary Clinton, Angela Merkel, Narendra Modi, Vladimir Putin
Elon Musk, Jeff Bezos, Bill Gates, Steve Jobs, Mark Zuckerberg, Warren Buffett, Oprah Winfrey
Taylor Swift, Beyonce, Madonna, Michael Jackson, Elvis Presley, Cristiano Ronaldo, Lionel Messi
Serena Williams, Roger Federer, Usain Bolt, LeBron James, Michael Jordan, Sachin Tendulkar
Virat Kohli, Shah Rukh Khan
""")
PLURALS = _lines("""
cats, dogs, tigers, lions, wolves, foxes, bears, rabbits, mice, rats, snakes, birds, eagles, owls
sharks, whales, dolphins, fish, frogs, spiders, ants, bees, wasps, elephants, horses, cows, sheep
goats, pigs, chickens, monkeys, children, parents, teachers, students, doctors, patients, nurses
lawyers, judges, managers, employees, customers
""")
COUNTRIES = _lines("""
France, Germany, Italy, Spain, Portugal, Poland, Sweden, Norway, Denmark, Finland, Austria
Switzerland, Belgium, Greece, Turkey, Russia, Ukraine, China, Japan, South Korea, North Korea
India, Pakistan, Bangladesh, Nepal, Indonesia, Malaysia, Singapore, Thailand, Vietnam
the Philippines, Australia, New Zealand, Canada, Mexico, Brazil, Argentina, Chile, Peru, Colombia
Egypt, Morocco, Nigeria, Kenya, South Africa, Ethiopia, Israel, Iran, Iraq, Saudi Arabia
the United States, the United Kingdom, Ireland, Scotland, Iceland, the Netherlands, Hungary
Romania
""")
CITIES = _lines("""
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Warsaw, Budapest, Lisbon, Dublin, Amsterdam
Brussels, Zurich, Stockholm, Oslo, Copenhagen, Helsinki, Athens, Istanbul, Moscow, Kyiv, Cairo
Lagos, Nairobi, Cape Town, Dubai, Tehran, Delhi, Mumbai, Bangalore, Chennai, Kolkata, Hyderabad
Pune, Karachi, Lahore, Dhaka, Bangkok, Hanoi, Jakarta, Manila, Singapore, Hong Kong, Shanghai
Beijing, Tokyo, Osaka, Seoul, Sydney, Melbourne, Auckland, New York, Boston, Chicago, Seattle
San Francisco, Los Angeles, Houston, Dallas, Denver, Miami, Atlanta, Toronto, Montreal, Vancouver
""")
LANGUAGES = _lines("""
English, French, German, Spanish, Italian, Portuguese, Russian, Polish, Dutch, Swedish, Turkish
Arabic, Hebrew, Persian, Hindi, Urdu, Bengali, Tamil, Telugu, Chinese, Japanese, Korean
Vietnamese, Thai, Greek, Latin
""")
PROGRAMMING = _lines("""
Python, Java, JavaScript, TypeScript, C, C++, C#, Go, Rust, Ruby, PHP, Swift, Kotlin, Scala
Haskell, Perl, R, Julia
""")
COMPANIES = _lines("""
Google, Apple, Microsoft, Amazon, Facebook, Netflix, Tesla, Intel, AMD, Nvidia, IBM, Oracle, SAP
Salesforce, Adobe, Uber, Lyft, Airbnb, Spotify, Twitter, LinkedIn, Samsung, Sony, Nokia, Huawei
Xiaomi, Toyota, Honda, Ford, BMW, Audi, Pfizer, Moderna, Walmart, Target, Starbucks, Nike, Adidas
Visa, Mastercard, PayPal, Stripe, Shopify, Slack, Zoom
""")
PRODUCTS = _lines("""
iPhone, iPad, MacBook, Apple Watch, Pixel, Galaxy, Kindle, Xbox, PlayStation, Nintendo Switch
Windows, Ubuntu, macOS, Android, Chrome, Firefox, Safari, Excel, Word, PowerPoint, Outlook, Gmail
Google Drive, Dropbox, OneDrive, Photoshop, Notion, Trello, Jira, GitHub, GitLab, Bitbucket
Postgres, MySQL, SQLite, MongoDB, Redis, Kafka, RabbitMQ, Nginx, WhatsApp, Telegram, Signal
Instagram, Snapchat, TikTok, YouTube, Netflix, Spotify, Quora, Reddit, Uber, Tinder
""")
TIERS = _lines("""
free, basic, starter, standard, plus, pro, premium, team, business, enterprise, student, family
individual, annual, monthly, gold, silver, platinum, bronze
""")
DRUGS = _lines("""
ibuprofen, paracetamol, aspirin, naproxen, amoxicillin, azithromycin, metformin, insulin
lisinopril, amlodipine, atorvastatin, simvastatin, omeprazole, sertraline, fluoxetine, prednisone
warfarin, clopidogrel, codeine, morphine, levothyroxine, gabapentin, cetirizine, loratadine
salbutamol, methotrexate, lithium, diazepam, melatonin, zinc
""")
CONDITIONS = _lines("""
diabetes, asthma, high blood pressure, low blood pressure, a fever, a cough, a sore throat
a headache, back pain, knee pain, chest pain, anemia, arthritis, gout, eczema, psoriasis, acne
depression, anxiety, insomnia, epilepsy, a cold, the flu, pneumonia, bronchitis, hepatitis B
hepatitis C, HIV, a kidney stone, gallstones, an ulcer, migraine, hypothyroidism, hyperthyroidism
a broken arm, a broken leg, a sprained ankle, a toothache, an ear infection
""")
FOODS = _lines("""
rice, pasta, bread, eggs, chicken, beef, pork, salmon, tuna, tofu, beans, lentils, potatoes
tomatoes, onions, garlic, mushrooms, spinach, broccoli, carrots, apples, bananas, oranges, grapes
strawberries, chocolate, honey, sugar, butter, cheese, milk, yogurt, coffee, tea, wine, beer
peanuts, almonds, oats
""")
JOBS = _lines("""
doctor, nurse, dentist, lawyer, judge, teacher, professor, engineer, architect, accountant
auditor, journalist, writer, editor, actor, singer, painter, photographer, chef, pilot, soldier
police officer, firefighter, plumber, electrician, carpenter, farmer, scientist, programmer
data scientist, designer, manager, consultant, banker
""")
MONTHS = _lines("""
January, February, March, April, May, June, July, August, September, October, November, December
""")
DAYS = _lines("Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday")
COLOURS = _lines("red,blue,green,yellow,orange,purple,black,white,grey,brown,pink")
SPORTS = _lines("""
football, cricket, tennis, basketball, baseball, golf, hockey, rugby
swimming, boxing, chess, cycling, running
""")
SUBJECTS = _lines("""
math, physics, chemistry, biology, history, geography, economics, law, medicine, philosophy
psychology, statistics
""")
CATEGORIES = [
    COUNTRIES, CITIES, LANGUAGES, PROGRAMMING, COMPANIES, PRODUCTS, DRUGS, FOODS, JOBS, MONTHS,
    DAYS, COLOURS, SPORTS, SUBJECTS, PLURALS, FAMOUS,
    _lines("cat,dog,tiger,lion,wolf,fox,bear,rabbit,mouse,rat,snake,bird,horse,cow,goat,pig,monkey,elephant"),
    _lines("mother,father,brother,sister,son,daughter,wife,husband,boyfriend,girlfriend,friend,boss,uncle,aunt"),
    _lines("knee,hip,back,neck,shoulder,elbow,wrist,ankle,foot,hand,arm,leg,head,stomach,chest,eye,ear,tooth"),
    _lines("phone,laptop,tablet,computer,television,camera,car,bike,bus,train,plane,house,apartment,hotel"),
    _lines("book,movie,song,game,app,website,blog,course,podcast,magazine,newspaper"),
    _lines("school,college,university,hospital,bank,airport,restaurant,library,museum,company,government"),
    _lines("morning,afternoon,evening,night,breakfast,lunch,dinner,summer,winter,spring,autumn"),
    _lines("Hindu,Muslim,Christian,Jewish,Buddhist,Sikh,atheist"),
    _lines("branch,repository,commit,tag,file,folder,table,column,row,index,database,schema,server,cluster"),
    _lines("hair,skin,teeth,nails,eyes,weight,height,muscle,fat"),
    _lines("CAT,GATE,GRE,GMAT,SAT,IELTS,TOEFL,UPSC,NEET,JEE"),
    _lines("B.Tech,MBA,PhD,MBBS,M.Tech,BSc,MSc,MCA,BCA"),
]  # fmt: skip
"""Words of which one is never another, though a model finds them alike."""

ANTONYMS = _rows("""
enable/disable, activate/deactivate, open/close, start/stop, begin/end, increase/decrease
raise/lower, gain/lose, buy/sell, lend/borrow, import/export, upload/download, push/pull
lock/unlock, freeze/unfreeze, block/unblock, subscribe/unsubscribe, follow/unfollow
install/uninstall, mount/unmount, encrypt/decrypt, encode/decode, zip/unzip, connect/disconnect
attach/detach, show/hide, add/remove, insert/delete, create/destroy, accept/reject, allow/forbid
approve/deny, hire/fire, win/lose, pass/fail, arrive/depart, enter/leave, love/hate, like/dislike
remember/forget, before/after, more/less, most/least, best/worst, better/worse, good/bad
big/small, large/small, long/short, tall/short, high/low, hot/cold, warm/cool, fast/slow
early/late, old/young, old/new, rich/poor, strong/weak, hard/soft, hard/easy, difficult/easy
heavy/light, dark/bright, wet/dry, clean/dirty, cheap/expensive, safe/dangerous, legal/illegal
possible/impossible, happy/sad, healthy/unhealthy, public/private, male/female, men/women
boys/girls, first/last, minimum/maximum, above/below, inside/outside, left/right, north/south
east/west, up/down, on/off, in/out, with/without, always/never, all/none, everyone/nobody
true/false, positive/negative, internal/external, primary/secondary, temporary/permanent
synchronous/asynchronous, static/dynamic, mutable/immutable, local/global, virtual/physical
introvert/extrovert, optimist/pessimist, advantages/disadvantages, pros/cons, benefits/risks
causes/effects, income/expense, profit/loss, asset/liability, supply/demand, credit/debit
deposit/withdrawal, wholesale/retail, ascending/descending, vertical/horizontal, upgrade/downgrade
include/exclude, join/leave, rising/falling, married/single, alive/dead, guilty/innocent
winner/loser, employer/employee, landlord/tenant, buyer/seller, client/server, host/guest
teacher/student, doctor/patient, husband/wife, king/queen, mother/father, son/daughter
""")
SYNONYMS = _rows("""
buy/purchase, begin/start, end/finish, big/large, quick/fast, cheap/inexpensive, difficult/hard
easy/simple, get rid of/remove, find/locate, help/assist, fix/repair, choose/select, show/display
need/require, happen/occur, enable/turn on, disable/turn off, allow/permit, ask/inquire
build/construct, car/automobile, movie/film, doctor/physician, lawyer/attorney, kids/children
phone/telephone, photo/picture, job/occupation, begin/commence, big/huge, smart/intelligent
sick/ill, rich/wealthy, scared/afraid, angry/furious, glad/happy, reason/cause
benefits/advantages, drawbacks/disadvantages, ways/methods, lower/reduce, increase/boost
improve/enhance, stop/quit, delete/erase, prevent/avoid, make money/earn money
lose weight/shed weight
""")
TRANSITIVE = _rows("""
like/liked, love/loved, hate/hated, trust/trusted, follow/followed, help/helped, admire/admired
blame/blamed, call/called, chase/chased, attack/attacked, defend/defended, hire/hired, fire/fired
pay/paid, teach/taught, hug/hugged, kiss/kissed, push/pushed, see/seen, know/known
remember/remembered, forgive/forgiven, ignore/ignored, invite/invited, visit/visited
support/supported, criticize/criticized, deceive/deceived, miss/missed, need/needed
respect/respected, envy/envied, fear/feared, protect/protected, sue/sued, threaten/threatened
want/wanted
""")
RELATIONS = _lines("""
afraid of, jealous of, proud of, tired of, fond of, angry at, loyal to, kind to, rude to
allergic to, older than, taller than, richer than, faster than, smarter than, stronger than
in love with, dependent on, responsible for, worried about, better than, more popular than
superior to, close behind, paid by, grateful to, scared of
""")
SYMMETRIC = _lines("""
married to, related to, friends with, similar to, different from, next to, in contact with
the same as, engaged to, compatible with, equal to, far from
""")
ACTIONS = _rows("""
cancel/terminate, pause/suspend, renew/extend, upgrade, downgrade, delete/remove, change/update
transfer, share, activate/turn on, deactivate/turn off, reset, recover/restore, verify/confirm
export, import, print, merge, split, block, unblock, freeze, unfreeze, replace, report, return
refund, track, schedule, reschedule, rename, duplicate/copy, archive, unarchive, lock, unlock
view/see, download, upload, link, unlink, hide, unhide, move, sell, buy, test
""")
THINGS = _lines("""
account, subscription, password, email address, phone number, credit card, debit card, order
invoice, receipt, refund, appointment, reservation, flight, ticket, booking, membership, plan
license, API key, project, branch, repository, commit, pull request, workspace, database, table
column, row, file, folder, backup, profile, photo, playlist, message, contact, calendar, event
loan, mortgage, policy, claim, prescription, device, printer, router, notification, widget, server
cluster, container, pipeline, certificate, domain, website, page, comment, post
""")
UNITS = _rows("""
km/kilometers, miles, kg/kilograms, pounds, cm/centimeters, inches, mg/milligrams, ml/milliliters
liters, GB, TB, MB, hours, minutes, days, weeks, months, years, dollars, euros, percent/%
degrees Celsius, degrees Fahrenheit
""")
FIELDS = _lines("""
healthcare, finance, education, agriculture, law, sports, biology, physics, chemistry, marketing
software, AI, manufacturing, statistics, psychology, politics, astronomy, project management
networking, databases, retail
""")
MODIFIERS = _lines("""
in one sentence, in two sentences, for beginners, for experts, for kids, to a five-year-old
in detail, in French, in Spanish, in German, in Hindi, as a poem, as a list, as JSON
with an example, without jargon, with code, step by step, in a table, in 100 words, in 50 words
in simple terms and in rhyme, in the style of a pirate
""")
QUALIFIERS = _lines("""
former, future, fake, famous, free, cheap, local, professional, amateur, retired, part-time
full-time, online, digital, ancient, modern, electric, manual, automatic, portable, wireless
organic, used, certified, junior, senior
""")
FILLERS = _lines("really,actually,indeed,in fact,truly,basically,just")
PLACES = _lines("""
restaurants, hotels, museums, parks, coffee shops, schools, universities, hospitals, dentists
gyms, bookstores, beaches, bars, bakeries, markets, libraries, co-working spaces, pharmacies
theaters, tourist attractions
""")
BUILT = _lines("""
the Eiffel Tower, the Great Wall of China, the Taj Mahal, the Colosseum, the Golden Gate Bridge
the Statue of Liberty, the Berlin Wall, the Panama Canal, the Suez Canal
the Empire State Building, the Sydney Opera House, Machu Picchu, the White House, Big Ben
the Sagrada Familia, the Brandenburg Gate, the Great Pyramid of Giza, the Burj Khalifa
""")
WORD_NUMBERS = _lines("one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve")
